// What to load, in which ways and over which link: the controls, and the address that remembers them.

import { byId, el } from "./dom.js";

const USUAL = ["whole", "range", "open"];
export const chosen = new URLSearchParams(location.hash.slice(1));

export const series = (state) => state.series[Number(byId("series").value)];
export const waysOf = (state, one) => state.ways.filter((way) => way.kinds.includes(one.kind));
export const waysChosen = () => [...byId("ways").querySelectorAll("input:checked")].map((box) => box.value);

export function offerSeries(state) {
  byId("series").replaceChildren(...state.series.map((one, number) => {
    const depth = one.frames.length > 1 && !one.title.includes(one.frames.length) ? `, ${one.frames.length} slices` : "";
    const size = one.title.includes(`${one.columns}`) ? "" : ` ${one.columns}×${one.rows}`;
    return el("option", { value: number }, `${one.title}${size}${depth}`);
  }));
  const wanted = Number(chosen.get("series") ?? 0);
  byId("series").value = state.series[wanted] ? wanted : 0;
}

export function offerWays(state) {
  const wanted = (chosen.get("ways") ?? USUAL.join(",")).split(",");
  const ways = waysOf(state, series(state));
  const isAny = ways.some((way) => wanted.includes(way.name));
  byId("ways").replaceChildren(...ways.map((way, number) => {
    const isOn = isAny ? wanted.includes(way.name) : number === 0;
    const box = el("input", { type: "checkbox", value: way.name, checked: isOn });
    return el("label", { class: "choice", title: way.says }, box, way.title);
  }));
}

function linkNames(state) {
  const named = { "4g": "4G", "slow-3g": "Slow 3G", "hospital-lan": "Hospital LAN", local: "None (local)" };
  return state.presets.map((preset) => [preset.name, named[preset.name] ?? preset.name, describe(preset)]);
}

function describe({ down, up, latency }) {
  return down === null ? "no limit" : `${down} Mbit/s down, ${up} up, ${latency} ms`;
}

export function offerLinks(state) {
  const now = state.presets.some((preset) => preset.name === state.network.name) ? state.network.name : "hand";
  const links = [...linkNames(state), ["hand", "By hand", "your own numbers"]];
  byId("links").replaceChildren(...links.map(([value, title, says]) => {
    const button = el("input", { type: "radio", name: "link", value, checked: value === now });
    return el("label", { class: "choice", title: says }, button, title);
  }));
  byId("byhand").hidden = now !== "hand";
  const { down, up, latency } = state.network.down === null ? state.presets[0] : state.network;
  byId("down").value = down;
  byId("up").value = up;
  byId("latency").value = latency;
}

export function remember() {
  chosen.set("series", byId("series").value);
  chosen.set("ways", waysChosen().join(","));
  history.replaceState(null, "", `#${chosen}`);
}

/** Volumes keep a small machine busy, so there one pane loads after another unless a person decides. */
export function suggestTurns(state) {
  const isSmall = (navigator.hardwareConcurrency ?? 2) <= 4;
  byId("inturn").checked = chosen.has("inturn") ? chosen.get("inturn") === "1" : isSmall && series(state).frames.length > 1;
}

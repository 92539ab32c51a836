// The demo's first screen: the same study, loaded side by side, directly and through the proxy.

import { ask } from "./asking.js";
import { chosen, offerLinks, offerSeries, offerWays, remember, series, suggestTurns, waysChosen, waysOf } from "./choices.js";
import { byId, el, milliseconds, onColours } from "./dom.js";
import { face, faceOf } from "./faces.js";
import { Pane, TITLES } from "./pane.js";

const VIAS = ["direct", "cold", "hot"];
const EVERY = 120; // milliseconds between two drawings of the clocks

let state = null;
let panes = [];
let runs = 0;

const tell = (path, told) => ask(path, { method: "POST", body: JSON.stringify(told) });

// The panes

async function build() {
  for (const pane of panes) pane.reset();
  const one = series(state);
  const ways = waysOf(state, one).filter((way) => waysChosen().includes(way.name));
  const actions = { jump, enlarge, replay: replayOne };
  const rows = await Promise.all(ways.map(async (way) => {
    const query = new URLSearchParams({ way: way.name, images: one.frames.length });
    const fetches = await ask(`fetches?${query}`);
    return { way, panes: VIAS.map((via) => new Pane({ way, via, series: one, fetches, actions })) };
  }));
  panes = rows.flatMap((row) => row.panes);
  byId("panes").classList.toggle("is-volume", one.frames.length > 1);
  byId("panes").replaceChildren(...rows.map(({ way, panes: three }) => el("section", { class: "way", "aria-label": way.title },
    el("header", {}, el("h2", {}, way.title), el("p", {}, way.says)),
    el("div", { class: "row" }, ...three.map((pane) => pane.element)))));
  byId("scrub").hidden = one.frames.length < 2;
  if (Number(byId("slice").max) !== one.frames.length) {
    byId("slice").max = one.frames.length;
    byId("slice").value = Math.ceil(one.frames.length / 2);
  }
  for (const pane of panes) pane.jump(Number(byId("slice").value) - 1);
  byId("sliceno").textContent = `${byId("slice").value} of ${one.frames.length}`;
}

/** Runs a pane of the next viewer only after that of the first, which fills the cache. */
async function runAll(run) {
  const [direct, cold, hot] = VIAS.map((via) => panes.filter((pane) => pane.via === via));
  const through = async (number) => {
    await cold[number].run();
    if (run !== runs) return;
    if (cold[number].error) hot[number].leaveOut();
    else await hot[number].run();
  };
  if (!byId("inturn").checked) {
    await Promise.all(direct.flatMap((pane, number) => [pane.run(), through(number)]));
    return;
  }
  for (let number = 0; number < direct.length && run === runs; number += 1) {
    await direct[number].run();
    if (run === runs) await through(number);
  }
}

/** Loads everything anew: directly and through the empty cache, then through the filled cache. */
async function replay() {
  const run = ++runs;
  document.body.dataset.state = "preparing";
  byId("problem").replaceChildren();
  byId("headline").textContent = "Loading …";
  judge({});
  for (const pane of panes) pane.reset();
  try {
    await build();
    await tell("prepare", { study: series(state).study });
  } catch (error) {
    if (run === runs) show(error);
    return;
  }
  if (run !== runs) return;
  document.body.dataset.state = "running";
  watch(run);
  await runAll(run);
  if (run !== runs) return;
  document.body.dataset.state = "done";
  sum();
}

async function replayOne(pane) {
  try {
    if (pane.via === "cold") await tell("prepare", { study: series(state).study });
  } catch (error) {
    show(error);
    return;
  }
  watch(runs);
  await pane.run();
}

function watch(run) {
  let last = 0;
  const draw = (now) => {
    if (run !== runs) return;
    const isOver = panes.every((pane) => !pane.isRunning);
    if (now - last >= EVERY || isOver) {
      last = now;
      tick(performance.now());
    }
    const isWaiting = panes.some((pane) => pane.slices?.isStale);
    if (!isOver || isWaiting || document.body.dataset.state === "running") requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}

function tick(now) {
  const longest = Math.max(10, ...panes.map((pane) => pane.elapsed(now)));
  for (const pane of panes) pane.tick(now, longest);
}

/** What the proxy changed: one number of each column. */
function sum() {
  tick(performance.now());
  const loaded = panes.filter((pane) => pane.load?.final !== null && pane.load);
  const whole = loaded.filter((pane) => !pane.way.opens);
  const of = (via) => (whole.length ? whole : loaded).filter((pane) => pane.via === via);
  const best = (via, clock) => of(via).toSorted((one, other) => one.load[clock] - other.load[clock])[0];
  const [plain, first, final] = [of("direct")[0], best("cold", "first"), best("hot", "final")];
  if (!plain || !first || !final) {
    byId("headline").textContent = "Not every pane could load the study.";
    return;
  }
  const { down, latency } = state.network;
  byId("headline").textContent = down === null
    ? "No slow link: the archive is as near to the viewers as the proxy."
    : `The archive is behind a link of ${down} Mbit/s and ${latency} ms. The proxy stands near the viewers.`;
  const { load } = plain;
  const until = load.first === load.final ? "until anything is seen" : `first picture, all after ${milliseconds(load.final)}`;
  judge({
    direct: [load.first, `${plain.way.title}:\n${until}`],
    cold: [first.load.first, `${first.way.title}:\nfirst picture, ${sooner(load.first, first.load.first)}`],
    hot: [final.load.final, `${final.way.title}:\ncomplete, ${sooner(load.final, final.load.final)}`],
  });
}

function sooner(before, after) {
  const ratio = before / after;
  if (ratio < 1.1) return "no sooner";
  return `${ratio.toLocaleString("en", { maximumFractionDigits: ratio < 10 ? 1 : 0 })} times sooner`;
}

/** `told` has milliseconds and what they are of each column; nothing while they are not known. */
function judge(told) {
  byId("verdict").replaceChildren(...VIAS.map((via) => {
    const [value, words] = told[via] ?? [null, ""];
    return el("div", { class: "card", "data-via": via },
      el("h2", {}, TITLES[via]), el("strong", { class: "number" }, value === null ? "–" : milliseconds(value)), el("small", {}, words));
  }));
}

function show(error) {
  document.body.dataset.state = "failed";
  byId("headline").textContent = "Nothing is being loaded.";
  byId("problem").replaceChildren(faceOf(error.status ?? -1, error.message));
}

// What a person does

function jump(slice) {
  byId("slice").value = slice + 1;
  byId("sliceno").textContent = `${slice + 1} of ${series(state).frames.length}`;
  for (const pane of panes) pane.jump(slice);
  watch(runs);
}

function enlarge(pane) {
  const picture = pane.element.querySelector(".picture");
  if (picture.width < 2) return;
  byId("largetitle").textContent = `${pane.title}, ${pane.element.querySelector(".size").textContent}`;
  const canvas = byId("largecanvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
  canvas.setAttribute("aria-label", picture.getAttribute("aria-label"));
  byId("large").showModal();
}

async function clear() {
  try {
    await tell("clear", {});
    byId("headline").textContent = "The proxy's cache is empty. Replay a pane of the next viewer to see it filled again.";
  } catch (error) {
    show(error);
  }
}

async function useLink(text) {
  const run = ++runs; // so that nothing of an earlier run begins meanwhile
  document.body.dataset.state = "preparing";
  judge({});
  for (const pane of panes) pane.reset();
  try {
    state.network = await tell("network", { network: text });
  } catch (error) {
    document.body.dataset.state = "failed";
    const isZero = [byId("down"), byId("up")].some((field) => Number(field.value) === 0);
    const words = isZero ? "A link of 0 Mbit/s carries nothing. Set both rates above 0." : `${error.message}.`;
    byId("headline").textContent = "Nothing is being loaded.";
    byId("problem").replaceChildren(face("Not a link", words));
    return;
  }
  if (run === runs) await replay();
}

function listen() {
  byId("actions").hidden = byId("controls").hidden = false;
  byId("replay").addEventListener("click", replay);
  byId("clear").addEventListener("click", clear);
  byId("series").addEventListener("change", () => {
    offerWays(state);
    suggestTurns(state);
    remember();
    replay();
  });
  byId("inturn").addEventListener("change", () => {
    chosen.set("inturn", byId("inturn").checked ? "1" : "0");
    remember();
    replay();
  });
  byId("ways").addEventListener("change", () => {
    remember();
    replay();
  });
  byId("links").addEventListener("change", (event) => {
    byId("byhand").hidden = event.target.value !== "hand";
    if (event.target.value !== "hand") useLink(event.target.value);
    else byId("down").focus();
  });
  byId("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    useLink(`${byId("down").value}/${byId("up").value}/${byId("latency").value}ms`);
  });
  byId("slice").addEventListener("input", (event) => jump(Number(event.target.value) - 1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("large").open) return;
    if (event.target.matches("input[type=number], select, textarea")) return;
    if (event.key === "r") replay();
    if (event.key === "c") clear();
  });
  const redraw = () => {
    for (const pane of panes) if (pane.slices) pane.slices.isStale = true;
    tick(performance.now());
  };
  onColours(redraw);
  window.addEventListener("resize", redraw);
}

async function start() {
  document.body.dataset.state = "preparing";
  try {
    state = await ask("state");
  } catch (error) {
    show(error);
    byId("problem").firstChild.append(" ", el("button", { type: "button", onclick: () => location.reload() }, "Try again"));
    return;
  }
  if (state.series.length === 0) {
    document.body.dataset.state = "failed";
    byId("headline").textContent = "Nothing is being loaded.";
    byId("problem").replaceChildren(face("Nothing found", "The origin has no study with pictures."));
    return;
  }
  offerSeries(state);
  offerWays(state);
  suggestTurns(state);
  offerLinks(state);
  listen();
  remember();
  await replay();
}

start();

// The live viewer: the real Cornerstone3D, whose bundle the demo makes on this machine the first time it is asked for.

import { ask } from "./asking.js";
import { CONFIGURATIONS } from "./configurations.js";
import { byId, el, milliseconds } from "./dom.js";
import { face, faceOf } from "./faces.js";

const EVERY = 700; // milliseconds between two questions about the bundle
const FULL = 8; // Cornerstone3D's image quality of a complete image
const VIAS = { direct: "Without the proxy", cold: "Proxy, first viewer (cold)", hot: "Proxy, next viewer (hot)" };
const SAYS = {
  installing: "npm installs Cornerstone3D on this machine, once. This takes half a minute or more …",
  bundling: "esbuild bundles Cornerstone3D …",
};

let state = null;
let viewer = null;
let loads = 0;


const say = (words) => { byId("headline").textContent = words; };
const tell = (name) => { document.body.dataset.state = name; };

// The bundle

/** Waits for the bundle, and imports it. */
async function prepare() {
  tell("preparing");
  byId("problem").replaceChildren();
  try {
    let told = await ask("cornerstone/", { method: "POST" });
    while (told.state in SAYS) {
      say(SAYS[told.state]);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      told = await ask("cornerstone/");
    }
    if (told.state !== "ready") {
      lacking(told.reason);
      return;
    }
    viewer = await import("./cornerstone/viewer.js");
  } catch (error) {
    failed(error);
    return;
  }
  say("Choose a configuration and load.");
  if (!viewer.isProgressive) {
    byId("problem").replaceChildren(face("No WebGL", "Without WebGL, Cornerstone3D loads whole images. The table then shows one step."));
  }
  byId("load").disabled = false;
  tell("ready");
}

function lacking(reason) {
  tell("lacking");
  say("Cornerstone3D is not here. The other tabs work without it.");
  const again = el("button", { type: "button", onclick: prepare }, "Try again");
  byId("problem").replaceChildren(face("Cornerstone3D can't be built", `${reason} `, again));
}

function failed(error) {
  tell("failed");
  say("Nothing is being loaded.");
  byId("problem").replaceChildren(error.status === undefined ? face("It failed", `Cornerstone3D says: ${error.message}`) : faceOf(error.status, error.message));
}

// Loads

const series = () => state.series.filter((one) => one.kind === "stack")[Number(byId("series").value)];
const configuration = () => CONFIGURATIONS[Number(byId("configuration").value)];
const vias = () => [...byId("vias").querySelectorAll("input:checked")].map((box) => box.value);

/** A base with a host name that no load had before: the browser's cache then has nothing of it. */
function fresh(base) {
  const url = new URL(base);
  loads += 1;
  url.hostname = `load-${Date.now().toString(36)}-${loads}.localhost`;
  return url.href.replace(/\/$/, "");
}

async function load() {
  if (byId("load").disabled) return;
  byId("load").disabled = true;
  byId("problem").replaceChildren();
  tell("loading");
  let now = null;
  try {
    for (const via of vias()) {
      now = via;
      await loadOnce(via);
    }
    tell("done");
  } catch (error) {
    byId("steps").replaceChildren();
    failed(error);
    say(`Not loaded. ${VIAS[now]}: no complete picture.`);
  }
  byId("load").disabled = false;
}

async function loadOnce(via) {
  const one = series();
  const { title, retrieve } = configuration();
  const way = state.ways.find((each) => each.name === "range");
  if (via === "cold") await ask("prepare", { method: "POST", body: JSON.stringify({ study: one.study }) });
  say(`Loading: ${title}. ${VIAS[via]} …`);
  byId("steps").replaceChildren();
  const steps = [];
  const drawn = (step) => {
    const last = steps.at(-1);
    if (last && last.status === step.status && last.columns === step.columns) return;
    steps.push(step);
    byId("steps").append(el("li", { class: step.status >= FULL ? "is-full" : null }, `${step.columns}×${step.rows} after ${milliseconds(step.at)}`));
  };
  const base = fresh(via === "direct" ? way.direct : way.proxied);
  await viewer.show({ element: byId("film"), base, path: one.frames[0], retrieve, drawn });
  add(title, via, steps);
}

function add(title, via, steps) {
  const first = steps[0];
  const final = steps.find((step) => step.status >= FULL);
  const time = (step) => el("td", { class: "number" }, step ? milliseconds(step.at) : "–");
  const sizes = steps.map((step) => `${step.columns}×${step.rows}`).join(" → ");
  const row = el("tr", { "data-via": via }, el("td", {}, title), el("td", {}, VIAS[via]), time(first), time(final), el("td", {}, sizes));
  byId("runs").tBodies[0].prepend(row);
  byId("none").hidden = true;
  byId("forget").disabled = false;
  byId("headline").replaceChildren(`${title}. ${VIAS[via]}: first picture after `,
    el("strong", {}, first ? milliseconds(first.at) : "–"), ", complete after ", el("strong", {}, final ? milliseconds(final.at) : "–"), ".");
}

// What a person does

function offer() {
  const { down, up, latency } = state.network;
  byId("link").textContent = down === null ? "No slow link. Choose one under Compare." : `Link: ${down} Mbit/s down, ${up} up, ${latency} ms`;
  const stacks = state.series.filter((one) => one.kind === "stack");
  byId("series").replaceChildren(...stacks.map((one, number) => el("option", { value: number }, one.title)));
  const hasJls = state.ways.some((way) => way.name === "jls");
  byId("configuration").replaceChildren(...CONFIGURATIONS.flatMap((each, number) =>
    each.needsJls && !hasJls ? [] : [el("option", { value: number }, each.title)]));
  byId("vias").replaceChildren(...Object.entries(VIAS).map(([value, title]) =>
    el("label", { class: "choice" }, el("input", { type: "checkbox", value, checked: true }), title)));
  describe();
}

function describe() {
  const text = JSON.stringify(configuration().retrieve, null, 2);
  byId("text").textContent = text;
  byId("plan").href = `playground.html#${new URLSearchParams({ text, images: 1 })}`;
}

function listen() {
  byId("load").addEventListener("click", load);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("configuration").addEventListener("change", describe);
  byId("forget").addEventListener("click", () => {
    byId("runs").tBodies[0].replaceChildren();
    byId("none").hidden = false;
    byId("forget").disabled = true;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    if (event.key === "l") load();
  });
  window.addEventListener("resize", () => viewer?.resize());
}

async function start() {
  tell("preparing");
  try {
    state = await ask("state");
  } catch (error) {
    failed(error);
    return;
  }
  if (!state.series.some((one) => one.kind === "stack")) {
    tell("failed");
    byId("problem").replaceChildren(face("Nothing found", "The origin has no single image."));
    return;
  }
  offer();
  listen();
  await prepare();
}

start();

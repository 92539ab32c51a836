// The playground: a retrieve configuration as a text, and its plan as the proxy reads it.

import { byId, bytes, el, onColours } from "./dom.js";
import { face, faceOf } from "./faces.js";
import { COLOURS, draw, fetchAt, words } from "./planpicture.js";
import { SAMPLES } from "./samples.js";
import { ask, hasToken, whatItNeeds } from "./session.js";
import { countBy, lastOf, rangeOf, seconds, timeline } from "./timeline.js";

const PAUSE = 250; // milliseconds without a key before the text is read
const MOST_ROWS = 2000; // of the list of all fetches

let plan = null;
let line = null;
let chosen = 0;
let asking = null;
let timer = null;

/** Sends the text to the proxy's reader. An older request is dropped. */
async function read() {
  asking?.abort();
  const mine = (asking = new AbortController());
  document.body.dataset.state = "reading";
  if (!byId("images").checkValidity()) {
    show({ faults: [{ line: null, words: "images: a number from 1 to 1000" }] });
    return;
  }
  try {
    const refused = await refusal();
    if (refused) {
      fail(refused);
      return;
    }
    const query = new URLSearchParams({ images: byId("images").value });
    const told = await (await ask(`playground?${query}`, { method: "POST", text: byId("text").value, signal: mine.signal })).json();
    if (mine === asking) show(told);
  } catch (error) {
    if (error.name !== "AbortError" && mine === asking) fail(error.status, error.message);
  }
}

function fail(status, detail) {
  document.body.dataset.state = "failed";
  byId("problem").replaceChildren({ 401: locked, 404: off }[status]?.() ?? faceOf(status, detail));
}

const locked = () => face("Sign in first (401)", "Here the proxy reads configurations for operators only. ", el("a", { href: "./" }, "Sign in"), " on the page Operate, and come back.");
const off = () => face("It is off (404)", "Nobody can sign in, because the configuration names no token: set admin.token_file.");

/** The status with which the proxy would refuse this operator, 0 if it would not. Asking in vain would be an error in the console. */
async function refusal() {
  if (hasToken() || !document.querySelector('[data-page="operate.html"]')) return 0;
  return { token: 401, off: 404 }[await whatItNeeds()] ?? 0;
}

function show(told) {
  byId("problem").replaceChildren();
  const isRight = told.faults.length === 0;
  byId("text").setAttribute("aria-invalid", String(!isRight));
  byId("faults").replaceChildren(...told.faults.map(faultOf));
  document.body.classList.toggle("is-stale", !isRight && plan !== null);
  document.body.dataset.state = isRight ? "shown" : "faulty";
  if (!isRight) {
    const rest = plan === null ? "" : " The plan is that of the last one that could be.";
    byId("headline").textContent = `This configuration can't be read.${rest}`;
    return;
  }
  plan = told;
  chosen = 0;
  byId("yaml").textContent = plan.yaml;
  byId("advice").hidden = plan.warnings.length === 0;
  byId("advice").querySelector("ul").replaceChildren(...plan.warnings.map((each) => el("li", {}, sentence(each))));
  if (byId("list").open) list();
  time();
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

function faultOf(fault) {
  const where = fault.line === null ? "Images" : `Line ${fault.line}`;
  const go = () => (fault.line === null ? byId("images").focus() : select(fault.line));
  return el("div", { class: "fault" }, el("button", { type: "button", onclick: go }, where), el("span", {}, fault.words));
}

/** Selects a line of the text and brings it into view. */
function select(number) {
  const text = byId("text");
  const lines = text.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, each) => sum + each.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
  text.scrollTop = (number - 4) * parseFloat(getComputedStyle(text).lineHeight);
}

// The picture

/** Lays the plan out in time, and draws it. */
function time() {
  if (!plan || !byId("frame").checkValidity() || !byId("rate").checkValidity()) return;
  line = timeline(plan, 1000 * Number(byId("frame").value), 1e6 * Number(byId("rate").value));
  byId("fetch").max = Math.max(1, line.fetches.length);
  byId("picture").setAttribute("aria-label", words(plan, line));
  byId("stages").tBodies[0].replaceChildren(...plan.stages.map(rowOf));
  sum();
  choose(Math.min(chosen, line.fetches.length - 1));
}

function sum() {
  const [seen, complete] = [line.seen, line.complete].map(lastOf);
  const strong = (value) => el("strong", {}, seconds(value));
  const count = plan.images === 1 ? "The image shows" : `All ${plan.images} images show`;
  const last = complete === null ? [". Not every image becomes complete."] : [plan.images === 1 ? ", and is complete after " : ", and are complete after ", strong(complete), "."];
  byId("headline").replaceChildren(...(seen === null ? ["Not every image is fetched."] : [`${count} something after `, strong(seen), ...last]));
}

function rowOf(stage, number) {
  const own = line.fetches.filter((fetch) => fetch.stage === number);
  const parts = [...stage.parts.map((part) => (part === "bytes=0-" ? "whole images" : part)), stage.path].filter(Boolean);
  const span = own.length ? [own[0].begin, own.at(-1).end].map(seconds) : ["–", "–"];
  return el("tr", {},
    el("td", {}, el("i", { class: `swatch stage${number % COLOURS}` }), stage.id, stage.barrier ? " (after all)" : ""),
    el("td", {}, `${stage.requestType}, ${stage.priority}`),
    el("td", { class: "number" }, stage.images), el("td", { class: "number" }, own.length),
    el("td", {}, parts.join(", ") || "nothing: already complete"),
    ...span.map((each) => el("td", { class: "number" }, each)));
}

/** Moves the cursor to a fetch and says what is there by then. */
function choose(number) {
  chosen = Math.max(0, number);
  const fetch = line.fetches[chosen];
  byId("fetch").value = chosen + 1;
  byId("fetchno").textContent = `${fetch ? chosen + 1 : 0} of ${line.fetches.length}`;
  byId("now").textContent = fetch ? told(fetch) : "";
  byId("fetch").setAttribute("aria-valuetext", byId("now").textContent);
  draw(byId("picture"), plan, line, chosen);
}

function told(fetch) {
  const { id, path } = plan.stages[fetch.stage];
  const from = path ? ` of ${path}` : "";
  const then = `After ${seconds(fetch.end)}, ${countBy(line.seen, fetch.end)} of ${plan.images} images show something and ${countBy(line.complete, fetch.end)} are complete.`;
  return `Image ${fetch.image} in stage ${id}: ${rangeOf(fetch.start, fetch.stop)}${from}, ${bytes(Math.round(fetch.size))}. ${then}`;
}

function list() {
  const rows = plan.fetches.slice(0, MOST_ROWS).map(([stage, image, start, stop], number) =>
    el("tr", {}, el("td", { class: "number" }, number + 1), el("td", {}, plan.stages[stage].id),
      el("td", { class: "number" }, image), el("td", {}, rangeOf(start, stop))));
  const more = plan.fetches.length - rows.length;
  if (more > 0) rows.push(el("tr", {}, el("td", { colspan: 4 }, `… and ${more} more`)));
  byId("list").querySelector("tbody").replaceChildren(...rows);
}

// What a person does

function soon() {
  clearTimeout(timer);
  timer = setTimeout(read, PAUSE);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(plan?.yaml ?? "");
    byId("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId("yaml")); // a browser may not let pages write: the person copies it
    byId("copy").textContent = "Selected";
  }
  setTimeout(() => { byId("copy").textContent = "Copy"; }, 2000);
}

function listen() {
  byId("sample").addEventListener("change", () => {
    const sample = SAMPLES[Number(byId("sample").value)];
    if (sample) byId("text").value = sample[1];
    read();
  });
  byId("text").addEventListener("input", () => {
    byId("sample").value = "own";
    soon();
  });
  byId("images").addEventListener("input", soon);
  for (const name of ["frame", "rate"]) byId(name).addEventListener("input", time);
  byId("fetch").addEventListener("input", (event) => choose(Number(event.target.value) - 1));
  byId("picture").addEventListener("pointermove", (event) => point(event));
  byId("picture").addEventListener("pointerdown", (event) => point(event));
  byId("list").addEventListener("toggle", () => plan && byId("list").open && list());
  byId("copy").addEventListener("click", copy);
  const redraw = () => line && draw(byId("picture"), plan, line, chosen);
  onColours(redraw);
  window.addEventListener("resize", redraw);
}

function point(event) {
  if (line?.fetches.length) choose(fetchAt(byId("picture"), plan, line, event.offsetX));
}

function start() {
  const offered = SAMPLES.map(([title], number) => el("option", { value: number }, title));
  byId("sample").replaceChildren(...offered, el("option", { value: "own" }, "Your own"));
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("text")) {
    byId("text").value = given.get("text");
    byId("images").value = given.get("images") ?? byId("images").value;
  }
  if (!byId("text").value) byId("text").value = SAMPLES[1][1]; // a browser keeps what was typed before a reload
  const known = SAMPLES.findIndex(([, text]) => text === byId("text").value);
  byId("sample").value = known < 0 ? "own" : known;
  listen();
  read();
}

start();

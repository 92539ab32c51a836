// The page for operators: signs in, follows the status, and gives orders, each of which is asked once.

import * as boards from "./boards.js";
import { openConfiguration } from "./configuration.js";
import { byId, el } from "./dom.js";
import { face } from "./faces.js";
import { Following } from "./following.js";
import { Heat } from "./heat.js";
import { origins } from "./origins.js";
import { ask, hasToken, Refused, signIn, signOut, whatItNeeds } from "./session.js";

const VIEWS = ["now", "configuration"];
const heats = [...document.querySelectorAll(".heat")].map((figure) => new Heat(figure));
let hour = { bounds: [], minutes: [] };
let before = null;
let following = null;

// Signing in

function show(state, ...faces) {
  document.body.dataset.state = state;
  byId("login").hidden = state !== "out";
  for (const id of ["badges", "views"]) byId(id).hidden = state !== "in";
  byId("leave").hidden = !hasToken();
  byId("problem").replaceChildren(...faces);
  if (state !== "in") for (const view of VIEWS) byId(view).hidden = true;
}

async function open() {
  following?.stop();
  show("opening");
  try {
    const needs = hasToken() ? "nothing" : await whatItNeeds();
    if (needs === "token") {
      askForToken();
      return;
    }
    if (needs === "off") throw new Refused(404, "set admin.token_file to use this");
    await ask("status");
  } catch (error) {
    refused(error);
    return;
  }
  byId("loginfault").textContent = "";
  byId("token").value = "";
  show("in");
  view();
  following = new Following({ onEvent: take, onState: tell, onRefused: refused });
}

function askForToken(fault = "") {
  signOut();
  show("out");
  byId("loginfault").textContent = fault;
  byId("token").focus();
}

function refused(error) {
  following?.stop();
  if (error.status === 401) {
    askForToken("This token does not count (401).");
    return;
  }
  const [title, words] = {
    0: ["No answer", "The proxy does not answer. Is it running?"],
    404: ["It is off", "Nobody can sign in, because the configuration names no token: set admin.token_file."],
    503: ["Busy", "The proxy takes no more requests of operators for the moment."],
  }[error.status] ?? ["It failed", ""];
  const again = el("p", {}, el("button", { type: "button", onclick: open }, "Try again"));
  show("failed", face(`${title}${error.status ? ` (${error.status})` : ""}`, `${words} In the server's words: ${error.message}.`, again));
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value.trim());
  open();
});
byId("leave").addEventListener("click", () => {
  signOut();
  open();
});

// Views

async function view() {
  if (document.body.dataset.state !== "in") return;
  const wanted = VIEWS.find((name) => location.hash === `#${name}`) ?? VIEWS[0];
  for (const name of VIEWS) byId(name).hidden = name !== wanted;
  for (const link of document.querySelectorAll("#views a")) {
    if (link.hash === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (wanted === "configuration") {
    try {
      await openConfiguration();
    } catch (error) {
      if (error.status === 401) refused(error);
      else say(`The configuration can't be shown (${error.status}): ${error.message}`, "bad");
    }
  }
}
window.addEventListener("hashchange", view);

// The status

function take({ name, data }) {
  if (name === "hour") hour = data;
  if (name !== "status") return;
  const status = data;
  boards.tiles(byId("tiles"), status, hour, rates(status));
  boards.held(byId("held"), status);
  boards.turns(byId("turns"), status);
  boards.workers(byId("workers"), status);
  origins(byId("origins"), status, { clear });
  boards.plans(byId("plans"), status, { end, purge });
  boards.callers(byId("callers"), status);
  boards.bounds(byId("bounds"), status);
  for (const heat of heats) heat.show(hour.bounds, [...hour.minutes, status.minute], status.minute.at);
  byId("version").textContent = status.version;
  byId("ready").textContent = status.ready === "ok" ? "ready" : `not ready: ${status.ready}`;
  byId("ready").className = `badge ${status.ready === "ok" ? "good" : "bad"}`;
  byId("moreplans").textContent = status.more_plans ? `and ${status.more_plans} more` : "";
  byId("morecallers").textContent = status.more_callers ? `and ${status.more_callers} more` : "";
  offerOrigins(status.origins.map((origin) => origin.name));
  document.body.dataset.looks = Number(document.body.dataset.looks ?? 0) + 1;
}

function rates(status) {
  const frames = Object.values(status.answers).reduce((all, each) => all + each, 0);
  const now = { at: status.at, frames, sent: status.sent, since: status.since };
  const same = before?.since === now.since && now.at > before.at ? before : null;
  const each = (name) => (same ? Math.max(0, (now[name] - same[name]) / (now.at - same.at)) : 0);
  const told = { frames: each("frames"), sent: each("sent") };
  before = now;
  return told;
}

function tell(state, seconds) {
  const badge = byId("live");
  const words = { live: "live", cut: "cut off" }[state];
  if (badge.dataset.state !== state) badge.textContent = words;
  badge.dataset.state = state;
  badge.className = `badge ${state === "live" ? "good" : "bad"}`;
  document.body.dataset.live = state;
  byId("again").hidden = state !== "cut";
  byId("again").textContent = seconds ? `Try now (or in ${seconds} s)` : "Try now";
  if (state === "cut" && !byId("problem").firstChild) {
    byId("problem").append(face("The stream was cut", "What you see is as it was. The page tries again by itself."));
  }
  if (state === "live") byId("problem").replaceChildren();
}
byId("again").addEventListener("click", () => following?.now());

function offerOrigins(names) {
  for (const select of document.querySelectorAll(".whichorigin")) {
    const all = select.dataset.all ? [["", select.dataset.all]] : [];
    const wanted = [...all, ...names.map((name) => [name, name])];
    if (select.options.length === wanted.length) continue;
    select.replaceChildren(...wanted.map(([value, text]) => el("option", { value }, text)));
  }
}

// Orders

/** Asks once. Returns true if the person is sure. */
function isSure(title, words, what, yes) {
  const dialog = byId("sure");
  byId("suretitle").textContent = title;
  byId("surewords").textContent = words;
  byId("surewhat").textContent = what;
  byId("sureyes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Gives an order if the person is sure, and says how it ended. */
async function order({ title, words, what, yes, done }, path, options) {
  if (!(await isSure(title, words, what, yes))) return false;
  try {
    const response = await ask(path, options);
    say(await done(response));
    return true;
  } catch (error) {
    if (error.status === 401) refused(error);
    else say(`It was refused (${error.status}): ${error.message}`, "bad");
    return false;
  }
}

function say(words, tone = "good") {
  byId("said").textContent = words;
  byId("said").dataset.tone = tone;
}

function purgeStudy(study, origin) {
  const query = origin ? `?${new URLSearchParams({ origin })}` : "";
  return order({
    title: "Purge this study?",
    words: `Everything that the proxy holds of it ${origin ? `from ${origin} ` : ""}is dropped. Viewers fetch it anew.`,
    what: study,
    yes: "Purge",
    done: () => `Study ${study} is purged.`,
  }, `cache/studies/${encodeURIComponent(study)}${query}`, { method: "DELETE" });
}
const purge = (plan) => purgeStudy(plan.study_uid, plan.origin);

const end = (plan) => order({
  title: "End this plan?",
  words: "What it has fetched stays. Fetches that viewers read go on.",
  what: plan.id,
  yes: "End the plan",
  done: () => `Plan ${plan.id.slice(0, 8)} is ended.`,
}, `status/plans/${encodeURIComponent(plan.id)}`, { method: "DELETE" });

const clear = (name) => order({
  title: "Clear the learned forms?",
  words: "The proxy tries anew how this origin wants to be asked. Some requests may take longer until it knows.",
  what: name,
  yes: "Clear",
  done: () => `The proxy learns anew how to ask ${name}.`,
}, `origins/${encodeURIComponent(name)}/forms`, { method: "DELETE" });

byId("purge").addEventListener("submit", async (event) => {
  event.preventDefault();
  const study = byId("purgestudy");
  if (await purgeStudy(study.value.trim(), byId("purgeorigin").value)) study.value = "";
});

byId("warm").addEventListener("submit", (event) => {
  event.preventDefault();
  const [study, series, fetch, origin, profile] = ["warmstudy", "warmseries", "warmdepth", "warmorigin", "warmprofile"].map((id) => byId(id).value.trim());
  const wanted = { study, ...(series ? { series } : { fetch }), origin, ...(profile && { profile }) };
  order({
    title: series ? "Fetch this series ahead?" : "Fetch this study ahead?",
    words: `A plan fetches it from ${origin} into the cache. Viewers go first.`,
    what: series ? `${study} / ${series}` : study,
    yes: "Fetch",
    done: async (response) => `Plan ${(await response.json()).id.slice(0, 8)} runs.`,
  }, "plans", { method: "POST", json: wanted });
});
/** A plan for one series fetches all of it. */
byId("warmseries").addEventListener("input", () => { byId("warmdepth").disabled = byId("warmseries").value.trim() !== ""; });

open();

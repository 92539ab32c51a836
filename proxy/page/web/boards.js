// The boards of the status. Each is drawn anew with each look, and keeps its elements, so that focus stays.

import { bytes, el } from "./dom.js";
import { FEW, bar, cell, count, keyed, part, percent, set, sum } from "./keeping.js";

const KINDS = {
  "frame-first": "First bytes of frames",
  "frame-rest": "Rests of frames",
  form: "Frames in other forms",
  alternate: "The origin's alternates",
  made: "Made by the proxy",
  picture: "Rendered pictures, thumbnails",
  metadata: "Metadata",
  search: "Lists and searches",
  bulkdata: "Bulk data",
  instances: "Whole instances",
  tables: "Other tables",
  overhead: "Overhead of frames",
  filling: "On their way in",
  lent: "Still being sent",
};
const TURNS = {
  "viewer-first": "A viewer waits for a first picture",
  "viewer-whole": "A viewer waits for a whole frame",
  "viewer-completion": "A viewer reads on",
  "left-completion": "A viewer has left",
  "plan-first": "A plan: first bytes",
  "plan-completion": "A plan: the rest",
};
const BOUNDS = { waiting: "Viewers that wait", sending: "Large responses", uploads: "Uploads", plans: "Plans", planned_frames: "Frames of plans" };

export const short = (who) => (who ? who.slice(0, 12) : "without a credential");

// At a glance

export function tiles(parent, status, hour, rates) {
  const answers = { ...status.minute.answers };
  for (const minute of hour.minutes) for (const [cache, number] of Object.entries(minute.answers)) answers[cache] = (answers[cache] ?? 0) + number;
  const held = status.held.filter((each) => each.tier === "memory").reduce((all, each) => all + each.bytes, 0);
  const waiting = status.origins.reduce((all, origin) => all + sum(origin.waiting), 0);
  const bad = status.origins.filter((origin) => origin.wrong.some((fault) => fault.level === "bad")).length;
  const running = status.plans.filter((plan) => ["queued", "running"].includes(plan.state)).length;
  const told = [
    ["Hits, last hour", percent(answers.hit ?? 0, sum(answers)), `of ${count(sum(answers))} frames`],
    ["Frames per second", rates.frames.toLocaleString("en", { maximumFractionDigits: 1 }), `${bytes(Math.round(rates.sent))}/s to viewers`],
    ["In memory", percent(held, status.budget), `${bytes(held)} of ${bytes(status.budget)}`],
    ["Fills", count(status.fills), `${count(waiting)} ${waiting === 1 ? "fetch waits" : "fetches wait"}`],
    ["Plans", count(running), running === 1 ? "runs" : "run"],
    ["Viewers", count(status.connections), "open connections"],
    ["Origins", `${status.origins.length - bad} of ${status.origins.length}`, bad ? "look below" : "well", bad ? "bad" : "good"],
  ];
  keyed(parent, told, ([title]) => title,
    ([title]) => el("div", { class: "card tile" }, el("span", { class: "label" }, title), el("strong", { class: "number", "data-part": "value" }), el("small", { class: "number", "data-part": "more" })),
    (tile, [, value, more, tone = ""]) => {
      set(part(tile, "value"), value);
      set(part(tile, "more"), more);
      tile.dataset.tone = tone;
    });
}

// What is held

const kindOf = ({ kind, part }) => (kind === "frame" ? `frame-${part}` : kind === "other" ? part : kind);
const TIERS = { memory: "Memory", disk: "Disk" };

/** Bytes by tier and kind, nearest tier first. */
function sizesOf(status) {
  const sizes = { memory: {} };
  for (const each of status.held) {
    const tier = (sizes[each.tier] ??= {});
    tier[kindOf(each)] = (tier[kindOf(each)] ?? 0) + each.bytes;
  }
  return sizes;
}

export function held(parent, status) {
  const sizes = sizesOf(status);
  const tiers = Object.keys(sizes);
  if (parent.dataset.tiers !== tiers.join()) {
    parent.dataset.tiers = tiers.join();
    const head = ["Kind", ...tiers.map((tier) => TIERS[tier] ?? tier)];
    parent.replaceChildren(
      el("div", { class: "stack", "aria-hidden": "true" }),
      el("table", { class: "keys" }, el("thead", {}, el("tr", {}, ...head.map((title, place) => el("th", { scope: "col", class: place ? "number" : "" }, title)))), el("tbody")),
      el("div", { class: "tiers" }));
  }
  const [stack, table, behind] = parent.children;
  const used = sum(sizes.memory);
  keyed(stack, Object.keys(KINDS), (kind) => kind, (kind) => el("span", { "data-kind": kind }), (piece, kind) => {
    piece.hidden = !sizes.memory[kind];
    bar(piece, (sizes.memory[kind] ?? 0) / Math.max(status.budget, used));
  });
  keyed(table.tBodies[0], [...Object.keys(KINDS), "free"], (kind) => kind,
    (kind) => el("tr", { "data-kind": kind }, el("th", { scope: "row" }, KINDS[kind] ?? "Free"), ...tiers.map((tier) => cell(tier, "number"))),
    (row, kind) => {
      const known = (tier) => (kind === "free" && tier === "memory" ? Math.max(0, status.budget - used) : sizes[tier][kind]);
      for (const tier of tiers) set(part(row, tier), known(tier) === undefined ? "–" : bytes(known(tier)));
      row.classList.toggle("is-idle", !tiers.some(known));
    });
  keyed(behind, status.tiers, ({ name }) => name,
    ({ name }) => el("div", { class: "tier" }, el("h3", {}, `Behind memory: ${name}`), el("p", { class: "number soft", "data-part": "words" })),
    (row, tier) => {
      const size = sizes[tier.name] ? `${bytes(sum(sizes[tier.name]))} held. ` : "";
      const looked = sum(tier.lookups);
      set(part(row, "words"), `${size}${percent(tier.lookups.hit ?? 0, looked)} of ${count(looked)} look-ups found something. ${count(tier.writes.stored ?? 0)} frames stored, ${count(tier.writes.dropped ?? 0)} dropped, ${count(tier.writes.failed ?? 0)} failed.`);
    });
}

// Fetches

export function turns(parent, status) {
  const rows = Object.entries(TURNS).map(([turn, words]) => ({ turn, words,
    run: status.origins.reduce((all, origin) => all + (origin.running[turn] ?? 0), 0),
    wait: status.origins.reduce((all, origin) => all + (origin.waiting[turn] ?? 0), 0) }));
  keyed(parent, rows, ({ turn }) => turn,
    ({ words }) => el("tr", {}, el("th", { scope: "row" }, words), cell("run", "number"), cell("wait", "number")),
    (row, each) => {
      set(part(row, "run"), count(each.run));
      set(part(row, "wait"), count(each.wait));
      row.classList.toggle("is-idle", !each.run && !each.wait);
    });
}

export function workers(parent, status) {
  const { jobs, processes } = status;
  const lost = sum(jobs.lost) ? ` ${count(jobs.lost.late ?? 0)} took too long, ${count(jobs.lost.crashed ?? 0)} crashed.` : "";
  set(parent, `${processes} ${processes === 1 ? "process serves" : "processes serve"} viewers. Decoding: ${jobs.processes} of at most ${jobs.most} processes, ${count(jobs.running)} jobs run and ${count(jobs.waiting)} wait.${lost}`);
}

// Plans

const isOver = (plan) => !["queued", "running"].includes(plan.state);
/** The stages of a plan. Those of a study's series are added up. */
function stagesOf(plan) {
  const found = new Map();
  for (const { stageId, numberOfImages, numberDone, numberOfFailures } of [...plan.stages, ...plan.series.flatMap((one) => one.stages)]) {
    const all = found.get(stageId) ?? { stageId, numberOfImages: 0, numberDone: 0, numberOfFailures: 0 };
    all.numberOfImages += numberOfImages;
    all.numberDone += numberDone;
    all.numberOfFailures += numberOfFailures;
    found.set(stageId, all);
  }
  return [...found.values()];
}

const TONES = { done: "good", failed: "bad", spent: "warn" };

const total = (stages, name) => stages.reduce((all, stage) => all + stage[name], 0);
const stage = (tag, name) => el(tag, { class: "stage" }, el("span", { class: "soft" }, name), el("span", { class: "meter", "aria-hidden": "true" }), el("span", { class: "number", "data-part": "done" }));

function tell(element, { numberDone, numberOfImages, numberOfFailures }) {
  bar(element.querySelector(".meter"), numberOfImages ? numberDone / numberOfImages : 0);
  set(part(element, "done"), `${count(numberDone)} of ${count(numberOfImages)}${numberOfFailures ? `, ${count(numberOfFailures)} failed` : ""}`);
}

export function plans(parent, status, { end, purge }) {
  const few = status.plans.length <= FEW;
  keyed(parent, status.plans, ({ id }) => id,
    (plan) => el("tr", {},
      el("th", { scope: "row" },
        el("span", { class: "mono", title: plan.id }, plan.id.slice(0, 8)), " ",
        el("small", {}, `${plan.profile} at ${plan.origin}, ${plan.is_viewers ? "set off by a viewer" : "requested"}, `, el("span", { class: "mono", title: plan.who || null }, short(plan.who))),
        plan.study_uid ? el("small", { class: "mono uid" }, [plan.study_uid, plan.series_uid].filter(Boolean).join(" / ")) : ""),
      el("td", {}, el("span", { "data-part": "state" }), el("small", { class: "bad", "data-part": "error" })),
      el("td", { class: "stages" }, el("details", { open: few }, el("summary", { "data-part": "all" }, stage("span", "all stages")), el("div", { "data-part": "stages" }))),
      cell("bytes", "number"),
      el("td", {},
        el("button", { type: "button", class: "danger small", "data-part": "end", onclick: () => end(plan), "aria-label": `End plan ${plan.id.slice(0, 8)}` }, "End …"),
        plan.study_uid ? el("button", { type: "button", class: "quiet", onclick: () => purge(plan) }, "Purge …") : "")),
    (row, plan) => {
      set(part(row, "state"), plan.state);
      part(row, "state").className = `badge ${TONES[plan.state] ?? ""}`;
      set(part(row, "error"), plan.error);
      set(part(row, "bytes"), bytes(plan.bytes));
      part(row, "end").hidden = isOver(plan);
      const stages = stagesOf(plan);
      tell(part(row, "all"), { numberOfImages: total(stages, "numberOfImages"), numberDone: total(stages, "numberDone"), numberOfFailures: total(stages, "numberOfFailures") });
      keyed(part(row, "stages"), stages, ({ stageId }) => stageId,
        ({ stageId }) => stage("div", stageId),
        tell);
    });
  if (!status.plans.length) parent.replaceChildren(el("tr", { "data-key": "" }, el("td", { colspan: 5, class: "soft" }, "No plan has run.")));
}

// Callers, bounds

export function callers(parent, status) {
  const all = Math.max(1, status.callers.reduce((size, each) => size + each.held, 0));
  keyed(parent, status.callers, ({ who }) => `who ${who}`,
    ({ who }) => el("tr", {}, el("th", { scope: "row", class: who ? "mono" : "", title: who || null }, short(who)),
      el("td", {}, el("div", { class: "stage" }, el("span", { class: "meter", "aria-hidden": "true" }), el("span", { class: "number", "data-part": "held" }))),
      cell("running", "number"), cell("waiting", "number"), cell("planned", "number")),
    (row, each) => {
      bar(row.querySelector(".meter"), each.held / all);
      set(part(row, "held"), `${percent(each.held, all)}, ${bytes(each.held)}`);
      for (const name of ["running", "waiting", "planned"]) set(part(row, name), count(each[name]));
    });
  if (!status.callers.length) parent.replaceChildren(el("tr", { "data-key": "" }, el("td", { colspan: 5, class: "soft" }, "Nobody has asked for a frame yet.")));
}

export function bounds(parent, status) {
  keyed(parent, Object.entries(status.places), ([name]) => name,
    ([name]) => el("div", {}, el("dt", {}, BOUNDS[name] ?? name), el("dd", {}, el("span", { class: "meter", "aria-hidden": "true" }), el("span", { class: "number", "data-part": "value" }))),
    (row, [, place]) => {
      bar(row.querySelector(".meter"), place.taken / place.most);
      row.classList.toggle("is-near", place.taken >= 0.8 * place.most);
      set(part(row, "value"), `${count(place.taken)} of ${count(place.most)}`);
    });
}

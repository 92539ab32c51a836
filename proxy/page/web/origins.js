// The report card of each origin: those that are down first, then those with faults.

import { bytes, el, milliseconds } from "./dom.js";
import { FEW, count, keyed, part, set, sum } from "./keeping.js";

const known = (fact) => (fact === null ? "not known yet" : fact ? "yes" : "no");

const DAY = 86400;

/** A time of today by the clock, an older one with its day. */
function clock(at) {
  const day = Date.now() / 1000 - at < DAY / 2 ? {} : { day: "numeric", month: "short" };
  return new Date(1000 * at).toLocaleString("en-GB", { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

function when({ since, times, last }) {
  if (since) return `Since ${clock(since)}.`;
  if (!times) return "";
  return times === 1 ? `Once in the last hour, at ${clock(last)}.` : `${count(times)} times in the last hour, last at ${clock(last)}.`;
}

function stateOf(origin) {
  if (origin.resting) return ["rests", "bad"];
  if (!origin.up) return ["down", "bad"];
  return origin.wrong.length ? ["up, with faults", "warn"] : ["well", "good"];
}

const WORST_FIRST = ["bad", "warn", "good"];
const place = (origin) => WORST_FIRST.indexOf(stateOf(origin)[1]);

export function origins(parent, status, { clear }) {
  const few = status.origins.length <= FEW;
  keyed(parent, status.origins.toSorted((one, other) => place(one) - place(other)), ({ name }) => name,
    ({ name }) => el("article", { class: "origin", "aria-label": name },
      el("header", {}, el("h3", {}, name), el("span", { "data-part": "state" })),
      el("ul", { class: "wrong", "data-part": "wrong" }),
      el("details", { open: few }, el("summary", {}, "Report card"), el("dl", { class: "facts number", "data-part": "facts" })),
      el("button", { type: "button", class: "quiet", onclick: () => clear(name) }, "Clear learned forms …")),
    (card, origin) => {
      const [words, tone] = stateOf(origin);
      set(part(card, "state"), words);
      part(card, "state").className = `badge ${tone}`;
      keyed(part(card, "wrong"), origin.wrong, ({ what }) => what, ({ what, level }) => el("li", { class: level }, what, " ", el("small", { class: "number", "data-part": "when" })), (line, fault) => set(part(line, "when"), when(fault)));
      const facts = [
        ["Form of request", origin.form ?? "not known yet"],
        ["Ranges", known(origin.ranges)],
        ["Strong validators", known(origin.validators)],
        ["Round trip", origin.round_trip === null ? "not known yet" : milliseconds(1000 * origin.round_trip)],
        ["Fetches", `${count(sum(origin.running))} run, ${count(sum(origin.waiting))} wait`],
        ["At once", `${count(origin.at_once)} found worthwhile, at most ${count(origin.seats)}`],
        ["On their way", bytes(origin.to_come)],
        ["Requests", Object.entries(origin.requests).map(([outcome, number]) => `${count(number)} ${outcome}`).join(", ") || "none"],
        ["Received", bytes(origin.received)],
      ];
      keyed(part(card, "facts"), facts, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd", { "data-part": "value" })), (row, [, value]) => set(part(row, "value"), value));
    });
}

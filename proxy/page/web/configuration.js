// The configuration: each value in force with its source, and what another file would change.

import { byId, el } from "./dom.js";
import { face } from "./faces.js";
import { ask } from "./session.js";

const SOURCES = { file: "file", environment: "environment", default: "default", program: "program" };
const TAKES = { "at once": "good", "with new workers": "warn", "with a restart": "warn" };
let values = [];
let file = null;

const written = (value) => (value === null || value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));

/** The place of a value without the folder of the file, which stands above. */
const place = (at) => (file && at.startsWith(`${file}:`) ? `line ${at.slice(file.length + 1)}` : at);

/** Reads the configuration, and compares it with the file on disk. */
export async function openConfiguration() {
  const told = await (await ask("configuration")).json();
  ({ values, file } = told);
  byId("filename").textContent = file ? `File: ${file}` : "There is no file: all values come from the environment, or are defaults.";
  list();
  byId("ondisk").replaceChildren(...changeOf(await (await ask("configuration/change")).json(), {
    faulty: "The file on disk is bad. The proxy keeps what is in force; a restart would fail.",
    same: "The file on disk says what is in force.",
    other: "The file on disk differs from what is in force.",
    none: !file,
  }));
}

function list() {
  const words = byId("find").value.trim().toLowerCase().split(/\s+/);
  const isSet = byId("onlyset").checked;
  const shown = values.filter((each) => (!isSet || each.source !== "default")
    && words.every((word) => `${each.key} ${written(each.value)} ${each.source} ${each.at}`.toLowerCase().includes(word)));
  byId("values").replaceChildren(...shown.map((each) => el("tr", {},
    el("th", { scope: "row", class: "mono" }, each.key),
    el("td", { class: "mono value" }, written(each.value)),
    el("td", {}, el("span", { class: `badge ${each.source === "default" ? "" : "accent"}` }, SOURCES[each.source]), " ", el("span", { class: "mono soft", title: each.at || null }, place(each.at))))));
  byId("none").textContent = shown.length ? `${shown.length} of ${values.length} values` : "No value is like that.";
}

function changeOf(change, { faulty, same, other, none }) {
  if (none) return [el("p", { class: "soft" }, "There is no file that could change.")];
  if (change.faults.length) return [face(faulty, "", el("ul", { class: "faults mono" }, ...change.faults.map((fault) => el("li", {}, fault))))];
  if (!change.differences.length) return [el("p", {}, el("span", { class: "badge good" }, "no change"), ` ${same}`)];
  const rows = change.differences.map((each) => el("tr", {},
    el("th", { scope: "row", class: "mono" }, each.key),
    el("td", { class: "mono value" }, el("del", {}, written(each.before)), " → ", el("ins", {}, written(each.after))),
    el("td", {}, el("span", { class: `badge ${TAKES[each.takes]}` }, each.takes)),
    el("td", { class: "mono soft" }, each.at ? place(each.at) : "default")));
  return [
    el("p", {}, other),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Differences" }, el("table", { class: "values stacked" },
      el("thead", {}, el("tr", {}, ...["Setting", "Value", "Counts", "From"].map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, ...rows))),
  ];
}

byId("find").addEventListener("input", list);
byId("onlyset").addEventListener("change", list);
byId("try").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const change = await (await ask("configuration/change", { method: "POST", text: byId("trytext").value })).json();
    byId("tried").replaceChildren(...changeOf(change, {
      faulty: "The proxy would refuse this text.",
      same: "This text says what is in force.",
      other: "This text differs from what is in force.",
    }));
  } catch (error) {
    byId("tried").replaceChildren(face("It was refused", error.message));
  }
});

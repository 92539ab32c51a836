// What a person sees when something is wrong: what it is, and what to do.

import { el } from "./dom.js";

const BY_STATUS = {
  0: ["No answer", "The connection was refused or cut. Is its server still running?"],
  401: ["Not allowed", "The origin does not let this viewer read the study."],
  403: ["Not allowed", "The origin does not let this viewer read the study."],
  404: ["Nothing found", "The origin has no such frame."],
  406: ["Not in this form", "The origin does not have the frame in the form that this way asks for."],
  502: ["The origin is down", "The proxy got no usable answer from the origin."],
  503: ["Busy", "The server is busy. Replay in a moment."],
  504: ["The origin is silent", "The origin did not answer in time."],
};

/** The face of a failed request. */
export function faceOf(status, detail) {
  const [title, words] = BY_STATUS[status] ?? ["It failed", ""];
  const code = status ? ` (${status})` : "";
  return face(`${title}${code}`, [words, detail && `In the server's words: ${detail}.`].filter(Boolean).join(" "));
}

export function face(title, words, ...more) {
  return el("div", { class: "face" }, el("strong", {}, title), words, ...more);
}

// Elements that stay while what they show changes, so that focus and what is open stay too.

import { el } from "./dom.js";

/** More rows than this are closed at first, so that a person sees all of them at once. */
export const FEW = 4;

export const count = (value) => value.toLocaleString("en");
export const sum = (counts) => Object.values(counts).reduce((all, each) => all + each, 0);
export const percent = (part, all) => (all ? `${((100 * part) / all).toFixed(part && part < all && part / all < 0.995 ? 1 : 0)} %` : "–");

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes the children of an element those of `items`, in order. A child stays as long as its key does. */
export function keyed(parent, items, keyOf, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let last = null;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    const place = last ? last.nextElementSibling : parent.firstElementChild;
    if (place !== child) parent.insertBefore(child, place);
    update(child, item);
    last = child;
  }
  for (const child of known.values()) child.remove();
}

export const part = (element, name) => element.querySelector(`[data-part="${name}"]`);
export const cell = (name, more = "") => el("td", { "data-part": name, class: more });

export function bar(element, share) {
  element.style.setProperty("--share", `${Math.min(100, 100 * share).toFixed(2)}%`);
}

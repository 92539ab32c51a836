// What all pages need: elements, numbers for people, and the colours of the style sheet.

export const byId = (id) => document.getElementById(id);

/** Makes an element. Attributes that begin with "on" are listeners; null and false leave one out. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** The colour of a custom property, as the style sheet has it now: light or dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Milliseconds for people: 31.6 ms, 2,987 ms. */
export function milliseconds(value) {
  const digits = value < 100 ? 1 : 0;
  return `${value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ms`;
}

/** Bytes for people: 64 KiB, 11.1 MB, 4.3 GB. */
export function bytes(value) {
  if (value === 65536) return "64 KiB";
  if (value < 1000) return `${value} B`;
  const [size, unit] = value < 1e6 ? [value / 1e3, "kB"] : value < 1e9 ? [value / 1e6, "MB"] : [value / 1e9, "GB"];
  return `${size.toLocaleString("en", { maximumFractionDigits: size < 100 ? 1 : 0 })} ${unit}`;
}

/** The size of small text in a canvas, in CSS pixels: at least 12, and larger on a wall. */
export const smallText = () => Math.max(12, 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize));

/** A canvas' context in CSS pixels, sharp on every screen. */
export function surface(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { context, width, height };
}

/** Calls `draw` when the colours change between light and dark. */
export function onColours(draw) {
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

// How long deliveries took, minute by minute: the darker a field, the more of them took so long.

import { colour, onColours, smallText, surface } from "./dom.js";

const MINUTES = 60;
const left = () => 4.7 * smallText(); // room for the labels of times
const below = () => 1.5 * smallText();
const TOLD = [0.01, 0.1, 1, 10]; // seconds that have a label

/** Seconds for people, as an upper end: 25 ms, 2.5 s. */
export const atMost = (seconds) => (seconds < 1 ? `${+(seconds * 1000).toPrecision(3)} ms` : `${seconds} s`);

/** The time within which a part of the deliveries was done, in words; null if there were none. */
export function within(counts, bounds, part) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return null;
  let sum = 0;
  const at = counts.findIndex((count) => (sum += count) >= part * all);
  return at < bounds.length ? `within ${atMost(bounds[at])}` : `over ${atMost(bounds.at(-1))}`;
}

export class Heat {
  constructor(figure) {
    this.which = figure.dataset.which;
    this.canvas = figure.querySelector("canvas");
    this.words = figure.querySelector(".said");
    this.title = figure.querySelector("figcaption").textContent;
    this.minutes = [];
    this.bounds = [];
    this.chosen = null; // the minute that a person looks at
    this.canvas.addEventListener("pointermove", (event) => this.choose(this.minuteAt(event.offsetX)));
    this.canvas.addEventListener("pointerleave", () => this.choose(null));
    this.canvas.addEventListener("blur", () => this.choose(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    onColours(() => this.draw());
  }

  /** Shows an hour that ends with the minute that began at `now`. */
  show(bounds, minutes, now) {
    this.bounds = bounds;
    this.now = now;
    this.minutes = Array.from({ length: MINUTES }, () => null);
    for (const minute of minutes) {
      const place = MINUTES - 1 - Math.round((now - minute.at) / 60);
      if (place >= 0 && place < MINUTES) this.minutes[place] = minute[this.which];
    }
    this.draw();
    this.tell();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.choose(null);
    if (!step) return;
    event.preventDefault();
    this.choose(Math.min(MINUTES - 1, Math.max(0, (this.chosen ?? MINUTES) + step)));
  }

  minuteAt(x) {
    const at = Math.floor((x - left()) / ((this.canvas.clientWidth - left()) / MINUTES));
    return at >= 0 && at < MINUTES ? at : null;
  }

  choose(minute) {
    if (minute === this.chosen) return;
    this.chosen = minute;
    this.draw();
    this.tell();
  }

  tell() {
    const whole = this.bounds.map(() => 0).concat(0);
    for (const minute of this.minutes) minute?.forEach((count, at) => { whole[at] += count; });
    const hour = this.sentence(whole, "In the last hour");
    this.canvas.ariaLabel = `${this.title}. ${hour}`;
    if (this.chosen === null) {
      this.words.textContent = hour;
      return;
    }
    const at = new Date((this.now - 60 * (MINUTES - 1 - this.chosen)) * 1000);
    const clock = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    this.words.textContent = this.sentence(this.minutes[this.chosen] ?? [0], `At ${clock}`);
  }

  sentence(counts, when) {
    const all = counts.reduce((sum, count) => sum + count, 0);
    if (!all) return `${when}: none.`;
    const [half, most] = [0.5, 0.95].map((part) => within(counts, this.bounds, part));
    return `${when}: ${all.toLocaleString("en")}; half ${half}, 95 % ${most}.`;
  }

  draw() {
    const { context, width, height } = surface(this.canvas);
    const room = { left: left(), below: below() };
    if (width <= room.left || !this.minutes.length) return;
    const rows = this.bounds.length + 1;
    const [wide, high] = [(width - room.left) / MINUTES, (height - room.below) / rows];
    const most = Math.max(1, ...this.minutes.flatMap((minute) => minute ?? []));
    context.fillStyle = colour("heat-none");
    context.fillRect(room.left, 0, width - room.left, height - room.below);
    context.fillStyle = colour(this.which);
    this.minutes.forEach((minute, place) => minute?.forEach((count, at) => {
      if (!count) return;
      context.globalAlpha = 0.22 + 0.78 * (Math.log1p(count) / Math.log1p(most));
      context.fillRect(room.left + place * wide, (rows - 1 - at) * high, Math.max(1, wide - 1), Math.max(1, high - 1));
    }));
    context.globalAlpha = 1;
    if (this.chosen !== null) {
      context.strokeStyle = colour("ink");
      context.strokeRect(room.left + this.chosen * wide - 0.5, 0.5, wide, height - room.below - 1);
    }
    this.label(context, { width, height, rows, high, room });
  }

  label(context, { width, height, rows, high, room }) {
    context.fillStyle = colour("soft");
    context.font = `${smallText()}px ${colour("sans")}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    this.bounds.forEach((bound, at) => {
      if (TOLD.includes(bound)) context.fillText(atMost(bound), room.left - 6, (rows - 1 - at) * high);
    });
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText("an hour ago", room.left, height - 4);
    context.textAlign = "right";
    context.fillText("now", width, height - 4);
  }
}

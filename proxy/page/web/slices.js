// All slices of a volume: grey while nothing has arrived, the quarter-size picture once it is there, and a
// green edge once the slice is complete.

import { colour, surface } from "./dom.js";

export const NOTHING = 0;
export const QUARTER = 1;
export const WHOLE = 2;

export class Slices {
  /** `chosen` is called with the slice that a person points at. */
  constructor(canvas, count, chosen) {
    this.canvas = canvas;
    this.states = new Array(count).fill(NOTHING);
    this.pictures = new Array(count).fill(null);
    this.selected = 0;
    this.isStale = true;
    canvas.setAttribute("aria-label", "No slices yet");
    canvas.addEventListener("click", (event) => {
      const { across, size } = this.#grid(canvas.clientWidth, canvas.clientHeight);
      const slice = Math.floor(event.offsetY / size) * across + Math.floor(event.offsetX / size);
      if (slice >= 0 && slice < count && event.offsetX < across * size) chosen(slice);
    });
  }

  set(slice, state) {
    if (state <= this.states[slice]) return;
    this.states[slice] = state;
    this.isStale = true;
  }

  show(slice, bitmap) {
    this.pictures[slice] = bitmap;
    this.isStale = true;
  }

  select(slice) {
    this.selected = slice;
    this.isStale = true;
  }

  count(state) { return this.states.filter((each) => each >= state).length; }

  #grid(width, height) {
    const count = this.states.length;
    let across = Math.ceil(Math.sqrt((count * width) / Math.max(1, height)));
    while (Math.ceil(count / across) * (width / across) > height) across += 1;
    return { across, size: width / across };
  }

  draw() {
    if (!this.isStale) return;
    this.isStale = false;
    const { context, width, height } = surface(this.canvas);
    const { across, size } = this.#grid(width, height);
    const gap = size > 14 ? 1.5 : 1;
    const edge = Math.max(1.5, size / 9);
    const colours = ["grey", "first", "final"].map(colour);
    this.states.forEach((state, slice) => {
      const x = (slice % across) * size;
      const y = Math.floor(slice / across) * size;
      const inner = size - gap;
      context.fillStyle = colours[state];
      context.fillRect(x, y, inner, inner);
      if (this.pictures[slice]) context.drawImage(this.pictures[slice], x, y, inner, inner - edge);
    });
    context.strokeStyle = colour("accent");
    context.lineWidth = 2;
    const [x, y] = [(this.selected % across) * size, Math.floor(this.selected / across) * size];
    context.strokeRect(x + 1, y + 1, size - gap - 2, size - gap - 2);
    const words = `${this.count(QUARTER)} of ${this.states.length} slices visible, ${this.count(WHOLE)} complete`;
    this.canvas.setAttribute("aria-label", words);
  }
}

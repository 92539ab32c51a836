// The picture of one pane. It paints every resolution that is complete, in order, from the bytes themselves.

import { draw, knownLayout } from "./drawing.js";

export const THUMBNAIL = 128; // pixels
const ALL = 1000; // more than any number of resolutions

export class Picture {
  /** `told` is called after each painting, with true if the frame is complete. */
  constructor(pane, told) {
    this.pane = pane;
    this.told = told;
  }

  #one(selector) { return this.pane.element.querySelector(selector); }

  /** Shows nothing. What was asked for before is not painted any more. */
  clear() {
    this.wanted = -1; // the finest resolution that was asked for
    this.shown = null; // halvings of the picture that is shown
    this.painted = [];
    this.drawing = 0;
    this.painting = {};
    this.turn = null; // ends when all that was asked for is painted
    this.pane.element.removeAttribute("data-drawing");
    this.pane.element.dataset.painted = "";
    const canvas = this.#one(".picture");
    canvas.width = canvas.height = 1;
    canvas.setAttribute("aria-label", "No picture yet");
    this.#one(".size").textContent = "";
  }

  /** Asks for every resolution of the selected slice that is complete and was not asked for yet. */
  arrived(load, image, frame, wasAsked) {
    const layout = knownLayout(this.pane.series.frames[image]);
    if (frame.small && this.wanted < 0) {
      this.wanted = 0;
      this.#paintOne(load, image, frame.small, 1e4, false);
    }
    if (frame.isProgressive && layout) {
      for (let number = this.wanted + 1; number < layout.ends.length - 1 && layout.ends[number] <= frame.size; number += 1) {
        this.wanted = number;
        const [columns, rows] = layout.sizes[number];
        this.#paintOne(load, image, frame.bytes(layout.ends[number]), columns * rows, false);
      }
    }
    const isRead = !frame.isProgressive || layout !== null || wasAsked;
    if (frame.isWhole && isRead && this.wanted < ALL) {
      this.wanted = ALL;
      this.#paintWhole(load, image, frame.bytes());
    }
  }

  /** Paints a complete frame: at once with as many pixels as the pane has, and then with all. */
  #paintWhole(load, image, content) {
    const { columns, rows } = this.pane.series;
    const canvas = this.#one(".picture");
    const side = Math.ceil(Math.max(canvas.clientWidth, canvas.clientHeight) * (window.devicePixelRatio || 1));
    const isQuick = load.last === "/frames/" && side * 2 < Math.max(columns, rows); // JPEG-LS has no resolutions
    if (isQuick) this.#paintOne(load, image, content, side ** 2, false, side);
    this.#paintOne(load, image, content, columns * rows, true);
  }

  /** Draws what was asked for side by side, and paints it in the order in which it was asked for. */
  #paintOne(load, image, content, pixels, isWhole, side = 0) {
    this.#expect(1);
    // Of a volume, the slice that a person looks at is drawn before the thumbnails.
    const drawing = this.draw(load, image, content, side, this.pane.isVolume ? pixels / THUMBNAIL : pixels);
    const { turn: before, painting } = this;
    this.turn = (async () => {
      await before;
      const drawn = await drawing;
      if (this.painting !== painting) return;
      this.#expect(-1);
      if (!drawn || (this.shown !== null && drawn.reduce >= this.shown && !isWhole)) return;
      this.shown = drawn.reduce;
      this.#show(drawn, isWhole);
    })();
  }

  /** Says on the picture that bytes are here which are still being drawn. */
  #expect(more) {
    this.drawing += more;
    this.pane.element.toggleAttribute("data-drawing", this.drawing > 0);
  }

  async draw(load, image, content, side, cost) {
    try {
      const drawn = await draw({ frame: this.pane.series.frames[image], content, side, cost, signal: load.stopping.signal });
      return this.pane.load === load ? drawn : null;
    } catch (error) {
      if (this.pane.load === load && error.name !== "AbortError") this.#note(error.message);
      return null;
    }
  }

  #note(words) {
    const note = this.#one(".drawnote");
    note.hidden = false;
    note.textContent = `Not drawn: ${words}`;
  }

  #show({ bitmap, columns, rows, reduce }, isWhole) {
    this.#one(".drawnote").hidden = true;
    const canvas = this.#one(".picture");
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const scale = reduce ? ` (1/${2 ** reduce})` : "";
    this.#one(".size").textContent = `${columns}×${rows}${scale}`;
    canvas.setAttribute("aria-label", `${this.pane.title}: picture of ${columns} by ${rows} pixels${isWhole ? ", complete" : ""}`);
    this.painted.push(columns);
    this.pane.element.dataset.painted = this.painted.join(" ");
    this.told(isWhole);
  }
}

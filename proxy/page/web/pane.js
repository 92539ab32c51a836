// One pane: one way to load the study, from one place. It paints what has arrived and nothing else.

import { bytes, milliseconds } from "./dom.js";
import { draw, knownLayout, layoutOf } from "./drawing.js";
import { FIRST } from "./arriving.js";
import { faceOf } from "./faces.js";
import { Load } from "./load.js";
import { QUARTER, Slices, WHOLE } from "./slices.js";
import { drawWaterfall } from "./waterfall.js";

export const TITLES = {
  direct: "Without the proxy",
  cold: "Proxy, first viewer (cold)",
  hot: "Proxy, next viewer (hot)",
};

const HALVINGS = 2; // a slice is visible at a quarter of its width and height, as in `measure`
const THUMBNAIL = 128;
const ALL = 1000; // more than any number of resolutions

export class Pane {
  /** `actions` are jump(slice), enlarge(pane) and replay(pane). */
  constructor({ way, via, series, fetches, actions }) {
    this.way = way;
    this.via = via;
    this.series = series;
    this.fetches = fetches;
    this.load = null;
    this.selected = 0;
    const made = document.getElementById("pane").content.cloneNode(true);
    this.element = made.querySelector("article");
    this.title = `${way.title}: ${TITLES[via]}`;
    this.#one("h3").textContent = TITLES[via];
    this.element.setAttribute("aria-label", this.title);
    this.element.dataset.way = way.name;
    this.element.dataset.via = via;
    this.#one(".open").addEventListener("click", () => actions.enlarge(this));
    this.#one(".again").addEventListener("click", () => actions.replay(this));
    this.#one(".again").setAttribute("aria-label", `Replay ${this.title}`);
    this.isVolume = series.frames.length > 1;
    this.actions = actions;
    this.#one(".slices").hidden = this.#one(".clock.visible").hidden = !this.isVolume;
    if (this.isVolume) this.slices = new Slices(this.#one(".slices"), series.frames.length, actions.jump);
    this.reset();
  }

  #one(selector) { return this.element.querySelector(selector); }

  get isRunning() { return this.load !== null && this.load.ended === null && this.error === null; }

  /** Milliseconds that the axis must have. */
  elapsed(now) {
    if (!this.load?.began) return 0;
    return (this.load.ended ?? now) - this.load.began;
  }

  reset() {
    this.load?.stop();
    this.load = null;
    this.error = null;
    this.jumped = null;
    this.visible = null;
    this.thumbnails = new Set();
    this.quarters = new Map(); // slice → bytes that hold its quarter-size picture
    this.stages = new Map(); // slice → how far its layout was asked for
    this.asked = new Set(); // slices whose layout was asked for with all of their bytes
    this.#unpaint();
    this.slices?.states.fill(0);
    this.slices?.pictures.fill(null);
    if (this.slices) this.slices.isStale = true;
    for (const each of this.element.querySelectorAll(".clock")) each.classList.remove("is-running");
    for (const each of this.element.querySelectorAll("dd")) each.textContent = "–";
    for (const name of [".badge", ".jump", ".drawnote"]) this.#one(name).hidden = true;
    this.#one(".problem").replaceChildren();
    this.element.dataset.state = "waiting";
    this.#clearWaterfall();
  }

  #clearWaterfall() {
    const canvas = this.#one(".waterfall");
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    canvas.setAttribute("aria-label", "No requests yet");
  }

  #unpaint() {
    this.wanted = -1; // the finest resolution that was asked for
    this.shown = null; // halvings of the picture that is shown
    this.painted = [];
    this.drawing = 0;
    this.painting = {}; // what was asked for before is not painted any more
    this.turn = null; // ends when all that was asked for is painted
    this.element.removeAttribute("data-drawing");
    this.element.dataset.painted = "";
    const canvas = this.#one(".picture");
    canvas.width = canvas.height = 1;
    canvas.setAttribute("aria-label", "No picture yet");
    this.#one(".size").textContent = "";
  }

  /** Loads the study once. Never throws; a failure has a face. */
  async run() {
    this.reset();
    const load = new Load({
      base: this.via === "direct" ? this.way.direct : this.way.proxied,
      frames: this.series.frames,
      fetches: this.fetches,
      isProgressive: this.way.isProgressive,
      changed: (image) => this.#arrived(load, image),
    });
    this.load = load;
    this.element.dataset.state = "running";
    try {
      await load.run();
      if (this.load === load) this.#finish(load);
    } catch (error) {
      if (this.load === load && error.name !== "AbortError") this.#fail(error);
    }
  }

  #finish(load) {
    for (let image = 0; image < load.frames.length; image += 1) this.#arrived(load, image);
    this.element.dataset.state = "done";
    this.element.dataset.first = load.first;
    this.element.dataset.final = load.final;
    this.#badge(load);
  }

  #fail(error) {
    this.error = error;
    this.element.dataset.state = "failed";
    for (const each of this.element.querySelectorAll(".clock")) each.classList.remove("is-running");
    this.#one(".problem").replaceChildren(faceOf(error.status ?? -1, error.message));
  }

  #badge(load) {
    const badge = this.#one(".badge");
    const all = load.requests.length;
    const hits = load.cache.get("hit") ?? 0;
    badge.hidden = load.cache.size === 0; // only the proxy says
    badge.textContent = badge.hidden ? "" : hits === all ? "cache: hit" : hits ? `cache: ${hits} of ${all} hit` : "cache: miss";
    badge.classList.toggle("good", hits === all);
  }

  // What has arrived

  async #arrived(load, image) {
    if (this.load !== load) return;
    const frame = load.frames[image];
    if (this.isVolume) this.#light(load, image, frame);
    if (image === this.selected) this.#paint(load, image, frame);
    if (frame.isProgressive) await this.#readLayout(load, image, frame);
  }

  /** Reads where the resolutions end: with the first bytes, again with 64 KiB, and again with all. */
  async #readLayout(load, image, frame) {
    const path = this.series.frames[image];
    const stage = frame.isWhole ? 3 : frame.size >= FIRST ? 2 : 1;
    if (knownLayout(path) || (this.stages.get(image) ?? 0) >= stage) return;
    this.stages.set(image, stage);
    await layoutOf(path, frame.bytes(stage === 3 ? frame.size : Math.min(frame.size, FIRST)));
    if (stage === 3) this.asked.add(image);
    if (this.load === load) await this.#arrived(load, image);
  }

  #quarterEnd(image, frame) {
    const ends = knownLayout(this.series.frames[image])?.ends;
    const end = ends ? ends[Math.max(0, ends.length - 1 - HALVINGS)] : FIRST;
    return frame.isWhole ? Math.min(end, frame.size) : end;
  }

  #light(load, image, frame) {
    const isThere = frame.small !== null || frame.isWhole || (frame.isProgressive && frame.size >= this.#quarterEnd(image, frame));
    if (frame.isWhole) this.slices.set(image, WHOLE);
    else if (isThere) this.slices.set(image, QUARTER);
    if (!isThere || this.thumbnails.has(image)) return;
    this.thumbnails.add(image);
    const isCut = load.last === "/frames/" && (frame.isProgressive || knownLayout(this.series.frames[image]));
    const content = frame.small ?? frame.bytes(isCut ? this.#quarterEnd(image, frame) : frame.size);
    this.#draw(load, image, content, THUMBNAIL, THUMBNAIL ** 2 + image)
      .then((drawn) => drawn && this.slices.show(image, drawn.bitmap));
  }

  /** Asks for every resolution of the selected slice that is complete and was not asked for yet. */
  #paint(load, image, frame) {
    const layout = knownLayout(this.series.frames[image]);
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
    const isRead = !frame.isProgressive || layout !== null || this.asked.has(image);
    if (frame.isWhole && isRead && this.wanted < ALL) {
      this.wanted = ALL;
      this.#paintWhole(load, image, frame.bytes());
    }
  }

  /** Paints a complete frame: at once with as many pixels as the pane has, and then with all. */
  #paintWhole(load, image, content) {
    const { columns, rows } = this.series;
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
    const drawing = this.#draw(load, image, content, side, this.isVolume ? pixels / THUMBNAIL : pixels);
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
    this.element.toggleAttribute("data-drawing", this.drawing > 0);
  }

  async #draw(load, image, content, side, cost) {
    try {
      const drawn = await draw({ frame: this.series.frames[image], content, side, cost, signal: load.stopping.signal });
      return this.load === load ? drawn : null;
    } catch (error) {
      if (this.load === load && error.name !== "AbortError") this.#note(error.message);
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
    canvas.setAttribute("aria-label", `${this.title}: picture of ${columns} by ${rows} pixels${isWhole ? ", complete" : ""}`);
    this.painted.push(columns);
    this.element.dataset.painted = this.painted.join(" ");
    this.#tellJump(isWhole);
  }

  // Jumping to a slice

  jump(slice) {
    this.selected = slice;
    this.slices?.select(slice);
    this.#unpaint();
    if (!this.load) return;
    const frame = this.load.frames[slice];
    this.jumped = { at: performance.now(), wasThere: frame.size > 0 || frame.small !== null, first: null, final: null };
    this.load.hurry(slice);
    this.#one(".jump").hidden = false;
    this.#one(".jump").textContent = `Slice ${slice + 1}: waiting …`;
    this.#arrived(this.load, slice);
  }

  #tellJump(isWhole) {
    if (!this.jumped) return;
    const took = performance.now() - this.jumped.at;
    this.jumped.first ??= took;
    if (isWhole) this.jumped.final ??= took;
    const from = this.jumped.wasThere ? " Its bytes were here." : "";
    const end = this.jumped.final === null ? "" : `, complete after ${milliseconds(this.jumped.final)}`;
    this.#one(".jump").textContent = `Slice ${this.selected + 1}: seen after ${milliseconds(this.jumped.first)}${end}.${from}`;
  }

  // What a person reads

  /** Writes the clocks, and draws the waterfall and the slices. `longest` is the end of all axes. */
  tick(now, longest) {
    const { load } = this;
    if (!load?.began) return;
    const running = this.isRunning ? now - load.began : null;
    this.#clock(".first", load.first, running);
    this.#clock(".final", load.final, running);
    if (this.isVolume) this.#clock(".visible", this.#visible(load), running);
    this.#one(".clock.size dd").textContent = bytes(load.received);
    this.slices?.draw();
    drawWaterfall(this.#one(".waterfall"), load, longest, now);
  }

  /** Milliseconds until every slice was visible; null as long as one is not. */
  #visible(load) {
    if (this.visible !== null) return this.visible;
    if (this.slices.count(QUARTER) < load.frames.length) return null;
    const times = load.frames.map((frame, image) =>
      frame.smallAt ?? (frame.isProgressive ? frame.hadAt(this.#quarterEnd(image, frame)) : frame.wholeAt));
    if (times.includes(null)) return null;
    this.visible = Math.max(...times) - load.began;
    return this.visible;
  }

  #clock(name, value, running) {
    const clock = this.#one(`.clock${name}`);
    const isRunning = value === null && running !== null;
    clock.classList.toggle("is-running", isRunning);
    if (value !== null || isRunning) clock.querySelector("dd").textContent = milliseconds(value ?? running);
  }
}

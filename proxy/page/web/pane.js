// One pane: one way to load the study, from one place. It paints what has arrived and nothing else.

import { bytes, milliseconds } from "./dom.js";
import { knownLayout, layoutOf } from "./drawing.js";
import { FIRST } from "./arriving.js";
import { face, faceOf } from "./faces.js";
import { Load } from "./load.js";
import { Picture, THUMBNAIL } from "./picture.js";
import { QUARTER, Slices, WHOLE } from "./slices.js";
import { drawWaterfall } from "./waterfall.js";

export const TITLES = {
  direct: "Without the proxy",
  cold: "Proxy, first viewer (cold)",
  hot: "Proxy, next viewer (hot)",
};

const HALVINGS = 2; // a slice is visible at a quarter of its width and height, as in `measure`

export class Pane {
  /** `actions` are jump(slice), enlarge(pane) and replay(pane). */
  constructor({ way, via, series, fetches, actions }) {
    this.way = way;
    this.via = via;
    this.series = way.opens ? { ...series, frames: series.frames.slice(0, 1) } : series;
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
    this.isVolume = this.series.frames.length > 1;
    this.#one(".clock.lists").hidden = !way.opens;
    this.actions = actions;
    this.#one(".slices").hidden = this.#one(".clock.visible").hidden = !this.isVolume;
    if (this.isVolume) this.slices = new Slices(this.#one(".slices"), this.series.frames.length, actions.jump);
    this.picture = new Picture(this, (isWhole) => this.#tellJump(isWhole));
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
    this.picture.clear();
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

  /** Loads the study once. Never throws; a failure has a face. */
  async run() {
    this.reset();
    const load = new Load({
      base: this.via === "direct" ? this.way.direct : this.way.proxied,
      lists: this.way.opens ? this.series.lists : [],
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

  /** Says why the load is not begun: the first viewer got nothing, so nothing is held for the next one. */
  leaveOut() {
    this.element.dataset.state = "leftout";
    this.#one(".jump").hidden = true;
    const words = "The first viewer got no study, so there is nothing in the cache for the next one. ↻ loads this pane all the same.";
    const said = face("Not loaded", words);
    said.classList.add("warn");
    this.#one(".problem").replaceChildren(said);
  }

  #fail(error) {
    this.error = error;
    this.element.dataset.state = "failed";
    this.#one(".jump").hidden = true;
    for (const each of this.element.querySelectorAll(".clock.is-running")) {
      each.classList.remove("is-running");
      each.querySelector("dd").textContent = "–"; // what it ran to is no time of a picture
    }
    this.#one(".problem").replaceChildren(faceOf(error.status ?? -1, error.message));
  }

  #badge(load) {
    const badge = this.#one(".badge");
    const all = load.requests.length;
    const hits = load.cache.get("hit") ?? 0;
    badge.hidden = load.cache.size === 0; // only the proxy says
    badge.textContent = badge.hidden ? "" : hits === all ? "cache: hit" : hits ? `${hits} of ${all} hit` : "cache: miss";
    badge.classList.toggle("good", hits === all);
  }

  // What has arrived

  async #arrived(load, image) {
    if (this.load !== load) return;
    const frame = load.frames[image];
    if (this.isVolume) this.#light(load, image, frame);
    if (image === this.selected) this.picture.arrived(load, image, frame, this.asked.has(image));
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
    this.picture.draw(load, image, content, THUMBNAIL, THUMBNAIL ** 2 + image)
      .then((drawn) => drawn && this.slices.show(image, drawn.bitmap));
  }

  // Jumping to a slice

  jump(slice) {
    if (this.way.opens) return; // it has the first picture only
    this.selected = slice;
    this.slices?.select(slice);
    this.picture.clear();
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
    this.slices?.draw();
    if (!load?.began) return;
    const running = this.isRunning ? now - load.began : null;
    if (this.way.opens) this.#clock(".lists", load.listed, running);
    this.#clock(".first", load.first, running);
    this.#clock(".final", load.final, running);
    if (this.isVolume) this.#clock(".visible", this.#visible(load), running);
    this.#one(".clock.size dd").textContent = bytes(load.received);
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

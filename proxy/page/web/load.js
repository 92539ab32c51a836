// One load of a study: its requests, over at most six connections as in a browser, and what arrives when.

import { ArrivingFrame } from "./arriving.js";

const CONNECTIONS = 6;
const TYPES = { "/frames/": "image/jphc" };

/** A response that shows no picture. `status` is 0 if there was none. */
export class LoadError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class Load {
  /** `lists` are read first, one after another. `fetches` are [image, segment, range], in order. `changed` is called after each arrival. */
  constructor({ base, lists = [], frames, fetches, isProgressive, changed }) {
    this.base = base;
    this.lists = lists;
    this.listedAt = null;
    this.paths = frames;
    this.frames = frames.map(() => new ArrivingFrame(isProgressive));
    this.fetches = fetches.map(([image, segment, range]) => ({ image, segment, range, state: "waiting" }));
    this.requests = [];
    this.changed = changed;
    this.began = null;
    this.ended = null;
    this.received = 0;
    this.cache = new Map();
    this.stopping = new AbortController();
    this.last = this.fetches.map((each) => each.segment).at(-1);
  }

  stop() { this.stopping.abort(); }

  get listed() { return this.#since(this.listedAt ?? Infinity); }

  get first() { return this.#since(Math.min(...this.frames.map((each) => each.smallAt ?? each.firstAt ?? Infinity))); }

  get final() { return this.#since(Math.max(...this.frames.map((each) => each.wholeAt ?? Infinity))); }

  #since(at) { return Number.isFinite(at) && this.began !== null ? at - this.began : null; }

  /** Opens the connections before the clock starts, as a viewer has that just read the metadata. */
  async warm() {
    const [, study] = /^studies\/([^/]+)/.exec(this.paths[0]);
    const count = Math.min(CONNECTIONS, this.paths.length);
    const touch = async () => {
      const response = await this.#get(`studies/${study}/series?limit=1`, "application/dicom+json", null);
      await response.arrayBuffer();
    };
    await Promise.all(Array.from({ length: count }, touch));
  }

  /** Loads everything. Throws LoadError; after that, nothing is in flight. */
  async run() {
    await this.warm();
    this.began = performance.now();
    try {
      for (const path of this.lists) await this.#read(path);
      this.listedAt = performance.now();
      await Promise.all(Array.from({ length: Math.min(CONNECTIONS, this.paths.length) }, () => this.#work()));
    } catch (error) {
      this.stop();
      throw error;
    } finally {
      this.ended = performance.now();
    }
  }

  /** Moves a frame's remaining fetches to the front. */
  hurry(image) {
    const own = this.fetches.filter((each) => each.image === image && each.state === "waiting");
    this.fetches = [...own, ...this.fetches.filter((each) => !own.includes(each))];
  }

  async #work() {
    for (;;) {
      const busy = new Set(this.fetches.filter((each) => each.state === "running").map((each) => each.image));
      const next = this.fetches.find((each) => each.state === "waiting" && !busy.has(each.image));
      if (!next) return;
      next.state = "running";
      if (!this.frames[next.image].isWhole) await this.#fetch(next);
      next.state = "done";
    }
  }

  async #read(path) {
    const request = { image: null, range: null, isSmall: false, start: performance.now(), head: null, end: null };
    this.requests.push(request);
    const response = await this.#get(path, "application/dicom+json", null);
    request.head = performance.now();
    this.#note(response);
    this.received += (await response.arrayBuffer()).byteLength;
    request.end = performance.now();
  }

  #note(response) {
    const said = /;\s*(hit|fwd=[a-z-]+)/.exec(response.headers.get("cache-status") ?? "")?.[1];
    if (said) this.cache.set(said, (this.cache.get(said) ?? 0) + 1);
  }

  async #fetch({ image, segment, range }) {
    const frame = this.frames[image];
    const isSmall = segment !== this.last;
    const request = { image, range, isSmall, start: performance.now(), head: null, end: null };
    this.requests.push(request);
    const path = this.paths[image].replace("/frames/", segment);
    const response = await this.#get(path, TYPES[segment] ?? "image/jls", range);
    request.head = performance.now();
    this.#note(response);
    if (isSmall) await this.#takeSmall(response, frame, request);
    else await this.#take(response, frame, request, range);
    this.changed(image);
  }

  async #takeSmall(response, frame, request) {
    const body = await response.arrayBuffer();
    request.end = frame.smallAt = performance.now();
    this.received += body.byteLength;
    frame.small = new Blob([body]);
  }

  async #take(response, frame, request, range) {
    frame.begin(response, range);
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      const now = performance.now();
      if (done) {
        request.end = now;
        frame.end(now);
        return;
      }
      this.received += value.byteLength;
      frame.take(value, now);
      this.changed(request.image);
    }
  }

  async #get(path, accept, range) {
    const headers = range === null ? { Accept: accept } : { Accept: accept, Range: range };
    let response;
    try {
      response = await fetch(`${this.base}/${path}`, {
        headers, signal: this.stopping.signal, cache: "no-store", credentials: "omit",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new LoadError(0, "no response: the connection was refused or cut");
    }
    if (response.ok) return response;
    throw new LoadError(response.status, await problemOf(response));
  }
}

/** What the proxy says about a failure: in a header if the request had a Range, else in the body. */
async function problemOf(response) {
  const header = response.headers.get("problem");
  if (header) return header.replace(/^[A-Za-z]+: /, ""); // without the title
  const text = (await response.text()).slice(0, 300);
  try {
    return JSON.parse(text).detail ?? text;
  } catch {
    return text;
  }
}

// Follows the status: Server-Sent Events over fetch, because an EventSource can't show a token.
// A stream that is cut, or silent, is begun again, after a pause that grows.

import { ask, Refused } from "./session.js";

const FIRST_PAUSE = 1000; // milliseconds
const LONGEST_PAUSE = 30000;
const SILENT = 10000; // the proxy tells something each second
const FATAL = [401, 403, 404];

/** Yields {name, data} for each event of a stream. */
export async function* eventsIn(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").filter((line) => !line.startsWith(":")).map((line) => {
          const at = line.indexOf(": ");
          return [line.slice(0, at), line.slice(at + 2)];
        }));
        if (fields.event) yield { name: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Follows until `stop`. Calls `onEvent` with each event; `onState` with "opening", "live", or "cut" and the seconds
 * until the next try; and `onRefused` if the token does not count, which ends it.
 */
export class Following {
  constructor({ onEvent, onState, onRefused }) {
    Object.assign(this, { onEvent, onState, onRefused });
    this.isOver = false;
    this.run();
  }

  stop() {
    this.isOver = true;
    this.stream?.abort();
    this.wake?.();
  }

  /** Tries at once if it waits for the next try. */
  now() {
    this.wake?.();
  }

  async run() {
    let pause = FIRST_PAUSE;
    while (!this.isOver) {
      let hasBegun = false;
      let hasEnded = false;
      try {
        for await (const event of this.events()) {
          if (this.isOver) return;
          if (event.name === "end") hasEnded = true;
          if (!hasBegun) this.onState("live");
          hasBegun = true;
          pause = FIRST_PAUSE;
          this.onEvent(event);
        }
      } catch (error) {
        if (this.isOver) return;
        if (error instanceof Refused && FATAL.includes(error.status)) {
          this.isOver = true;
          this.onRefused(error);
          return;
        }
        if (!(error instanceof Refused) && !["AbortError", "TypeError", "NetworkError"].includes(error.name)) console.warn(error);
      }
      if (this.isOver) return;
      if (hasBegun && hasEnded) await this.rest(FIRST_PAUSE / 4);
      else await this.countDown(pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  async* events() {
    this.stream = new AbortController();
    let silence;
    const hear = () => {
      clearTimeout(silence);
      silence = setTimeout(() => this.stream.abort(), SILENT);
    };
    try {
      hear();
      const response = await ask("status/events", { signal: this.stream.signal });
      for await (const event of eventsIn(response.body)) {
        hear();
        yield event;
      }
    } finally {
      clearTimeout(silence);
    }
  }

  async countDown(pause) {
    const until = performance.now() + pause * (0.8 + 0.4 * Math.random());
    this.isEarly = false;
    while (!this.isOver && !this.isEarly) {
      const left = until - performance.now();
      if (left <= 0) return;
      this.onState("cut", Math.ceil(left / 1000));
      await this.rest(Math.min(left, 1000));
    }
  }

  rest(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        this.isEarly = true;
        resolve();
      };
    });
  }
}

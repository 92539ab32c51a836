// One frame as it arrives. The rules are those of `measure`: the first picture is there with the first 64 KiB,
// or with the end of a shorter response, and the frame is complete with its last byte.

export const FIRST = 65536;

export class ArrivingFrame {
  constructor(isProgressive) {
    this.isProgressive = isProgressive;
    this.chunks = [];
    this.size = 0; // bytes from 0 that have arrived
    this.total = null;
    this.firstAt = null;
    this.wholeAt = null;
    this.arrivals = []; // [time, bytes from 0 by then]
    this.small = null; // a smaller picture of its own, such as reduced JPEG-LS
    this.smallAt = null;
  }

  get isWhole() { return this.wholeAt !== null; }

  /** Takes the head of a response. Throws if it does not fit what has arrived. */
  begin(response, range) {
    if (response.status === 206) {
      const [, start, , total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ?? [];
      if (Number(start) !== this.size) throw new Error("the response has other bytes than those that were asked for");
      this.total = Number(total);
    } else if (this.size && range) {
      throw new Error("a later range was answered with the whole frame");
    } else {
      const length = response.headers.get("content-length");
      this.total = length === null ? null : Number(length);
    }
  }

  take(chunk, now) {
    this.chunks.push(chunk);
    this.size += chunk.byteLength;
    this.arrivals.push([now, this.size]);
    if (this.isProgressive && this.firstAt === null && this.size >= FIRST) this.firstAt = now;
  }

  end(now) {
    if (this.total === null) this.total = this.size;
    if (this.size === this.total) this.wholeAt = now;
    if (this.firstAt === null) this.firstAt = now;
  }

  /** When the first `size` bytes had arrived; null if they have not. */
  hadAt(size) {
    return this.arrivals.find(([, have]) => have >= size)?.[0] ?? null;
  }

  /** The very bytes that have arrived, up to `stop`. */
  bytes(stop = this.size) {
    return new Blob(this.chunks).slice(0, stop);
  }
}

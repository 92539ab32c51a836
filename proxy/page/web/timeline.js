// When each fetch of a plan runs, if they run one after another over a link. Pure.

const UNTOLD = 65536; // bytes to the end of a resolution whose share of the frame can't be estimated
const SMALL = 1 / 16; // of a frame: a picture of reduced size at another path

/** Bytes from 0 to a mark of a plan: bytes, a resolution such as "1/4", or null for the end. */
export function bytesTo(mark, frame) {
  if (mark === null) return frame;
  if (typeof mark === "number") return Math.min(mark, frame);
  const scale = /^1\/(\d+)$/.exec(mark);
  return Math.min(frame, scale ? frame / Number(scale[1]) ** 2 : UNTOLD);
}

/** The fetches with their times in seconds, and when each image is seen and complete. `rate` is in bit/s. */
export function timeline({ stages, fetches, images }, frame, rate) {
  const seen = new Array(images).fill(null);
  const complete = new Array(images).fill(null);
  let now = 0;
  const timed = fetches.map(([stage, image, start, stop]) => {
    const { isFull } = stages[stage];
    const isSmall = stop === null && !isFull;
    const size = isSmall ? frame * SMALL : Math.max(0, bytesTo(stop, frame) - bytesTo(start, frame));
    const begin = now;
    now += (8 * size) / rate;
    seen[image] ??= now;
    if (!isSmall && bytesTo(stop, frame) >= frame) complete[image] ??= now;
    return { stage, image, start, stop, size, begin, end: now };
  });
  return { fetches: timed, seen, complete, end: now };
}

/** How many of these times have come. Images that never get there are null. */
export const countBy = (times, now) => times.filter((time) => time !== null && time <= now).length;

/** The time after which all have come; null if one never does. */
export const lastOf = (times) => (times.includes(null) ? null : Math.max(...times));

/** Seconds for people. */
export function seconds(value) {
  if (value < 1) return `${(1000 * value).toLocaleString("en", { maximumFractionDigits: value < 0.1 ? 1 : 0 })} ms`;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 1 })} s`;
}

/** The bytes of a fetch as a viewer's Range, or in words. */
export function rangeOf(start, stop) {
  if (start === 0 && stop === null) return "whole";
  if (typeof start === "number" && typeof stop === "number") return `bytes=${start}-${stop - 1}`;
  if (typeof start === "number" && stop === null) return `bytes=${start}-`;
  return `${start} to ${stop ?? "the end"}`;
}

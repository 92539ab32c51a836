// Draws a plan: one row for each image, one bar for each fetch, left to right in the order of the plan. Below it
// grows the number of images that show something, and of those that are complete.

import { colour, surface } from "./dom.js";
import { countBy, seconds } from "./timeline.js";

export const COLOURS = 8;
const TEXT = 0.72; // of the page's font size

/** Where things are in a canvas of this size, in CSS pixels. */
export function layout(width, height, images, end) {
  const text = TEXT * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const left = 3.2 * text;
  const axis = 1.7 * text;
  const curves = Math.min(90, height / 4);
  const rows = { top: 2, height: height - curves - axis - 12 };
  const bottom = { top: height - curves - axis, height: curves };
  return {
    text, left, rows, bottom, width, height,
    x: (time) => left + (end > 0 ? time / end : 0) * (width - left - 1),
    y: (image) => rows.top + (image / images) * rows.height,
    row: rows.height / images,
    time: (x) => (end * (x - left)) / (width - left - 1),
  };
}

/** Draws a timeline. `chosen` is the number of the fetch that the cursor is at. */
export function draw(canvas, plan, line, chosen) {
  const { context, width, height } = surface(canvas);
  const at = layout(width, height, plan.images, line.end);
  context.font = `${at.text}px ${getComputedStyle(document.body).fontFamily}`;
  grid(context, at, plan, line);
  const colours = Array.from({ length: COLOURS }, (_, number) => colour(`s${number}`));
  const gap = at.row > 5 ? 1 : 0;
  for (const { stage, image, begin, end } of line.fetches) {
    context.fillStyle = colours[stage % COLOURS];
    context.fillRect(at.x(begin), at.y(image), Math.max(1, at.x(end) - at.x(begin)), Math.max(0.8, at.row - gap));
  }
  curve(context, at, plan.images, line.complete, line.end, "final");
  curve(context, at, plan.images, line.seen, line.end, "first");
  cursor(context, at, line.fetches[chosen]);
}

function grid(context, at, { images }, { end }) {
  const step = niceStep(end);
  context.strokeStyle = colour("line");
  context.fillStyle = colour("soft");
  context.lineWidth = 1;
  for (let time = 0; time <= end && step > 0; time += step) {
    const x = Math.round(at.x(time)) + 0.5;
    context.beginPath();
    context.moveTo(x, at.rows.top);
    context.lineTo(x, at.bottom.top + at.bottom.height + 3);
    context.stroke();
    const words = seconds(time);
    const room = context.measureText(words).width;
    context.fillText(words, Math.min(x - room / 2, at.width - room), at.height - 0.25 * at.text);
  }
  context.textAlign = "right";
  for (const image of rowsToName(images, at)) {
    context.fillText(image, at.left - 6, at.y(image) + at.row / 2 + at.text / 3);
  }
  const { top, height } = at.bottom;
  context.fillText(images, at.left - 6, top + at.text / 2);
  context.fillText("0", at.left - 6, top + height);
  context.textAlign = "left";
}

function rowsToName(images, at) {
  const most = Math.max(2, Math.floor(at.rows.height / (1.8 * at.text)));
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((each) => images / each <= most) ?? 500;
  return Array.from({ length: Math.ceil(images / step) }, (_, number) => number * step);
}

function curve(context, at, images, times, end, name) {
  const { top, height } = at.bottom;
  const sorted = times.filter((time) => time !== null).sort((one, other) => one - other);
  const y = (count) => top + height * (1 - count / images);
  context.strokeStyle = colour(name);
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(at.x(0), y(0));
  sorted.forEach((time, count) => {
    context.lineTo(at.x(time), y(count));
    context.lineTo(at.x(time), y(count + 1));
  });
  context.lineTo(at.x(end), y(sorted.length));
  context.stroke();
}

function cursor(context, at, fetch) {
  if (!fetch) return;
  const x = Math.round(at.x(fetch.end)) + 0.5;
  context.strokeStyle = colour("ink");
  context.lineWidth = 1;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(x, at.rows.top);
  context.lineTo(x, at.bottom.top + at.bottom.height);
  context.stroke();
  context.setLineDash([]);
  context.strokeRect(at.x(fetch.begin) - 1, at.y(fetch.image) - 1, Math.max(3, at.x(fetch.end) - at.x(fetch.begin) + 2), at.row + 2);
}

/** The number of the fetch that runs at a place in the canvas. */
export function fetchAt(canvas, plan, line, x) {
  const { width, height } = canvas.getBoundingClientRect();
  const time = layout(width, height, plan.images, line.end).time(x);
  const found = line.fetches.findIndex((fetch) => fetch.end >= time);
  return found < 0 ? line.fetches.length - 1 : found;
}

function niceStep(end) {
  if (!(end > 0)) return 0;
  const rough = end / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((each) => each * power >= rough);
}

/** What the picture shows, for those who do not see it. */
export function words(plan, line) {
  const seen = countBy(line.seen, line.end);
  const complete = countBy(line.complete, line.end);
  return `${line.fetches.length} fetches of ${plan.images} images in ${seconds(line.end)}: ${seen} show something, ${complete} are complete`;
}

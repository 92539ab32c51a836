// The requests of one load, one row each, on a time axis that all panes share.

import { colour, surface } from "./dom.js";

const TEXT = 0.72; // of the page's font size, so that a wall can be read too
const AXIS = 1.4; // of the text's size: the room below the bars
const THICK = 0.8;

/** Draws the requests. `longest` is the end of the axis in milliseconds. */
export function drawWaterfall(canvas, load, longest, now) {
  const { context, width, height } = surface(canvas);
  const x = (at) => Math.min(width, ((at - load.began) / longest) * width);
  const size = TEXT * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const bottom = height - AXIS * size;
  axis(context, width, { bottom, size, longest });
  const row = Math.min(THICK * size + 3, bottom / Math.max(1, load.requests.length));
  const thick = Math.max(0.7, row - (row > 3 ? 2 : 0));
  const bar = (name, from, to, y) => {
    if (to <= from) return;
    context.fillStyle = name;
    context.fillRect(x(from), y, Math.max(1.5, x(to) - x(from)), thick);
  };
  const [wait, list, first, final] = ["wait", "s0", "first", "final"].map(colour);
  load.requests.forEach((request, number) => {
    const y = number * row;
    const end = request.end ?? (load.ended ?? now);
    const head = request.head ?? end;
    bar(wait, request.start, head, y);
    if (request.image === null) {
      bar(list, head, end, y);
      return;
    }
    const split = coarseUntil(request, load.frames[request.image], end, head);
    bar(final, split, end, y);
    bar(first, head, split, y);
  });
  canvas.setAttribute("aria-label", words(load));
}

/** Until when a request brought first bytes, which already show a picture. */
function coarseUntil(request, frame, end, head) {
  const isFirstFetch = /^bytes=0-\d+$/.test(request.range ?? "");
  if (request.isSmall || isFirstFetch) return end;
  if (!frame.isProgressive || request.range !== null) return head;
  return Math.min(end, Math.max(head, frame.firstAt ?? end));
}

function axis(context, width, { bottom, size, longest }) {
  const step = niceStep(longest);
  context.strokeStyle = colour("line");
  context.fillStyle = colour("soft");
  context.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  context.lineWidth = 1;
  for (let at = 0; at <= longest; at += step) {
    const x = Math.round((at / longest) * width) + 0.5;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, bottom + 2);
    context.stroke();
    const text = at >= 1000 || step >= 1000 ? `${at / 1000} s` : `${at} ms`;
    const room = context.measureText(text).width;
    context.fillText(text, Math.min(Math.max(0, x - room / 2), width - room), bottom + 1.15 * size);
  }
}

function niceStep(longest) {
  const rough = longest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((each) => each * power >= rough);
}

function words(load) {
  const count = load.requests.length;
  return `Waterfall of ${count} ${count === 1 ? "request" : "requests"}`;
}

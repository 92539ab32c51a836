// Draws bytes as they arrived: posts them to the demo's own decoder, which answers PNG.
// Small pictures go first, so that a large one of one pane never holds up the first one of another.

const AT_ONCE = 3;
const waiting = [];
let running = 0;

/** Returns {bitmap, columns, rows, reduce}. `cost` orders the pictures that wait. Throws with the server's words. */
export function draw({ frame, content, side = 0, cost, signal }) {
  return new Promise((resolve, reject) => {
    waiting.push({ frame, content, side, cost, signal, resolve, reject });
    waiting.sort((one, other) => one.cost - other.cost);
    next();
  });
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const job = waiting.shift();
    if (job.signal?.aborted) {
      job.reject(new DOMException("stopped", "AbortError"));
      continue;
    }
    running += 1;
    post(job).then(job.resolve, job.reject).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function post({ frame, content, side, signal }) {
  const query = new URLSearchParams({ frame, side });
  const response = await fetch(`picture?${query}`, { method: "POST", body: content, signal });
  if (!response.ok) throw new Error((await response.json()).detail);
  const [columns, rows, reduce] = response.headers.get("picture").split(" ").map(Number);
  const bitmap = await createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
  return { bitmap, columns, rows, reduce };
}

const layouts = new Map();
const UNKNOWN = { sizes: [], ends: [] };

/** The layout of a frame if some pane has read all of it; else null. */
export function knownLayout(frame) {
  const known = layouts.get(frame);
  return known?.isComplete ? known : null;
}

/** Where the resolutions of a frame end, as far as these first bytes tell. The answer holds for all panes. */
export async function layoutOf(frame, content) {
  const known = knownLayout(frame);
  if (known) return known;
  const response = await fetch("layout", { method: "POST", body: content });
  const told = response.ok ? await response.json() : UNKNOWN;
  const layout = { ...told, isComplete: told.ends.length > 0 && told.ends.every((end) => end !== null) };
  if (layout.isComplete) layouts.set(frame, layout);
  return layout;
}

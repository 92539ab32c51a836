// The real Cornerstone3D with one stack viewport, for the demo's page. The page's server bundles this file.

import * as cs from '@cornerstonejs/core';
import { init, wadors } from '@cornerstonejs/dicom-image-loader';

const ENGINE = 'engine', VIEWPORT = 'viewport';
const { imageRetrieveMetadataProvider } = cs.utilities;

cs.init({ rendering: { webGlContextCount: 1 } }); // one viewport draws
init({
  wasmBasePath: new URL('./', import.meta.url).pathname, maxWebWorkers: 1, useLegacyMetadataProvider: true,
  errorInterceptor: (error) => { refusal ??= error.status; },
});

/** Status of the load's first answer that is an error, 0 if there was no answer; null if all went well. */
let refusal = null;
let base = null;

// The loader of ranges takes the words of an error for a picture, so it must not get them.
const plain = window.fetch;
window.fetch = async (...asked) => {
  if (base === null || !String(asked[0]).startsWith(base)) return plain(...asked);
  const answer = await plain(...asked).catch(() => null);
  if (answer?.ok) return answer;
  refusal ??= answer?.status ?? 0;
  throw new Error(`the answer is ${refusal}`);
};

/** False if this browser has no WebGL: then Cornerstone3D loads whole images. */
export const isProgressive = !cs.getShouldUseCPURendering();

/** Loads one image as a stack and draws it in `element`.
 *
 * `retrieve` is a retrieve configuration. `drawn` is called after each drawing with {at, columns, rows, status}: the
 * milliseconds since the load began, the decoded size, and Cornerstone3D's image quality. Resolves once all stages
 * have ended. Throws an error with the `status` of an answer that is one, or what the loader says. */
export async function show({ base: of, ...more }) {
  [base, refusal] = [of, null];
  try {
    await showOne(more);
  } catch (error) {
    throw refusal === null ? error : Object.assign(new Error(''), { status: refusal });
  } finally {
    base = null;
  }
}

async function showOne({ element, path, retrieve, drawn }) {
  const [series] = path.split('/instances/');
  const instances = await (await fetch(`${base}/${series}/metadata`)).json();
  const uid = path.split('/')[5];
  const id = `wadors:${base}/${path}`;
  wadors.metaDataManager.add(id, instances.find((instance) => instance['00080018'].Value[0] === uid));

  let latest = null, failed = null, ended;
  const loaded = new Promise((resolve) => (ended = resolve));
  const told = (listener) => ({
    getLoaderImageOptions: (image) => listener.getLoaderImageOptions(image),
    successCallback: (image, found) => {
      latest = { columns: found.columns, rows: found.rows, status: found.imageQualityStatus };
      listener.successCallback(image, found);
    },
    errorCallback: (image, permanent, reason) => {
      failed = String(reason?.error ?? reason);
      listener.errorCallback(image, permanent, reason);
    },
  });
  const create = (configuration) => {
    const loader = cs.ProgressiveRetrieveImages.createProgressive(configuration);
    return { loadImages: (wanted, listener) => loader.loadImages(wanted, told(listener)).finally(ended) };
  };
  imageRetrieveMetadataProvider.clear();
  imageRetrieveMetadataProvider.add('stack', {
    stages: cs.ProgressiveRetrieveImages.singleRetrieveStages.stages, ...retrieve, create,
  });

  giveBack();
  cs.cache.purgeCache();
  const engine = new cs.RenderingEngine(ENGINE);
  engine.enableElement({ viewportId: VIEWPORT, element, type: cs.Enums.ViewportType.STACK });
  const began = performance.now();
  const viewport = engine.getViewport(VIEWPORT);
  const rendered = () => {
    if (!isProgressive) latest = whole(viewport);
    if (latest) drawn({ at: performance.now() - began, ...latest });
  };
  element.addEventListener(cs.EVENTS.IMAGE_RENDERED, rendered);
  try {
    await viewport.setStack([id]).catch((error) => { failed ??= String(error); });
    if (isProgressive) await loaded; // without WebGL, the viewport has a loader of its own
    await painted();
    if (!latest || refusal !== null) throw new Error(failed ?? 'Cornerstone3D showed no picture');
  } finally {
    element.removeEventListener(cs.EVENTS.IMAGE_RENDERED, rendered);
  }
}

/** Ends the rendering engine of the last load. Its context of WebGL is given back at once: the browser has few. */
function giveBack() {
  const engine = cs.getRenderingEngine(ENGINE);
  const canvas = isProgressive && engine?.getOffscreenMultiRenderWindow(VIEWPORT).getOpenGLRenderWindow().getCanvas();
  engine?.destroy();
  if (!canvas) return;
  canvas.addEventListener('webglcontextlost', (event) => event.stopImmediatePropagation(), { capture: true });
  canvas.getContext('webgl2')?.getExtension('WEBGL_lose_context')?.loseContext();
}

/** The image that a viewport without WebGL shows; null if there is none. */
function whole(viewport) {
  const image = viewport.getCornerstoneImage();
  return image ? { columns: image.columns, rows: image.rows, status: cs.Enums.ImageQualityStatus.FULL_RESOLUTION } : null;
}

/** Fits the picture to the element's size. */
export function resize() {
  cs.getRenderingEngine(ENGINE)?.resize(true, false);
}

/** Lets the last picture be drawn, which happens in the next frames of the screen. */
const painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))));

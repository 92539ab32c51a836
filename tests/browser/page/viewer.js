// A viewer built from Cornerstone3D's own parts, with one viewport that reports the progress of each image.
//
// `show` opens a series as a stack or a volume. Once its loader has ended, it resolves to a report.
// `seen` is the same report while loading. `compare` compares the canvases of two shows.

import * as cs from '@cornerstonejs/core';
import { init, wadors } from '@cornerstonejs/dicom-image-loader';

const ENGINE = 'engine', VIEWPORT = 'viewport', VOLUME = 'volume:shown';
const element = document.getElementById('picture');
const canvases = new Map();
const { imageRetrieveMetadataProvider } = cs.utilities;
const { singleRetrieveStages, sequentialRetrieveStages, interleavedRetrieveStages } = cs.ProgressiveRetrieveImages;
const stock = {
  single: singleRetrieveStages.stages,
  sequential: sequentialRetrieveStages.stages,
  interleaved: interleavedRetrieveStages.stages,
};

cs.init();
const LIMITS = { ...cs.imageLoadPoolManager.maxNumRequests };
let added = {};
init({
  wasmBasePath: '/wasm/', maxWebWorkers: 1, useLegacyMetadataProvider: true, beforeSend: async () => added,
});

window.seen = null;

/** Shows a series and reports every step and the end. `retrieve` is a Cornerstone3D retrieve configuration. Its
 * stages may be the name of a stock plan. `headers` are added to requests by a hook. `limits` is the number of
 * requests of each type at once, if it differs from Cornerstone3D's default. */
window.show = async ({ name, kind, root, series, retrieve, only, headers, limits }) => {
  added = headers ?? {};
  for (const type of Object.keys(LIMITS)) {
    cs.imageLoadPoolManager.setMaxSimultaneousRequests(type, (limits ?? LIMITS)[type]);
  }
  const seen = (window.seen = {
    images: [], errors: [], renders: [], stages: [], rendering: !cs.getShouldUseCPURendering() ? 'gpu' : 'cpu',
  });
  const began = performance.now();
  const at = () => Math.round(performance.now() - began);
  const ids = await imageIds(root, series, only);
  const came = [];
  let ended;
  const loaded = new Promise((resolve) => (ended = resolve));
  const stage = ({ detail }) => seen.stages.push({ at: at(), ...detail });
  cs.eventTarget.addEventListener(cs.EVENTS.IMAGE_RETRIEVAL_STAGE, stage);

  const told = (listener) => ({
    getLoaderImageOptions: (id) => listener.getLoaderImageOptions(id),
    successCallback: (id, image) => {
      const entry = {
        at: at(), index: ids.indexOf(id), status: image.imageQualityStatus, columns: image.columns,
        rows: image.rows, syntax: image.transferSyntaxUID,
      };
      seen.images.push(entry);
      came.push([entry, image.voxelManager.getScalarData()]);
      listener.successCallback(id, image);
    },
    errorCallback: (id, permanent, reason) => {
      seen.errors.push({ at: at(), index: ids.indexOf(id), permanent, reason: String(reason) });
      listener.errorCallback(id, permanent, reason);
    },
  });
  const create = (configuration) => {
    const loader = cs.ProgressiveRetrieveImages.createProgressive(configuration);
    return { loadImages: (wanted, listener) => loader.loadImages(wanted, told(listener)).finally(ended) };
  };
  imageRetrieveMetadataProvider.clear();
  const stages = stock[retrieve.stages] ?? retrieve.stages;
  imageRetrieveMetadataProvider.add(kind, { ...retrieve, stages, create });

  cs.getRenderingEngine(ENGINE)?.destroy();
  cs.cache.purgeCache();
  const engine = new cs.RenderingEngine(ENGINE);
  const type = cs.Enums.ViewportType[kind === 'stack' ? 'STACK' : 'ORTHOGRAPHIC'];
  engine.enableElement({ viewportId: VIEWPORT, element, type });
  const viewport = engine.getViewport(VIEWPORT);
  const rendered = () => seen.renders.push({ at: at(), images: seen.images.length, lit: lit(pixels()) });
  element.addEventListener(cs.EVENTS.IMAGE_RENDERED, rendered);
  if (kind === 'stack') {
    await viewport.setStack(ids).catch((error) => seen.errors.push({ at: at(), reason: String(error) }));
  } else {
    const volume = await cs.volumeLoader.createAndCacheVolume(VOLUME, { imageIds: ids });
    await cs.setVolumesForViewports(engine, [{ volumeId: VOLUME }], [VIEWPORT]);
    // Draw the empty volume first, because textures and shaders take long without a graphics card.
    const drawn = new Promise((resolve) =>
      element.addEventListener(cs.EVENTS.IMAGE_RENDERED, resolve, { once: true }));
    viewport.render();
    await drawn;
    volume.load();
  }
  await loaded;
  const last = new Promise((resolve) =>
    element.addEventListener(cs.EVENTS.IMAGE_RENDERED, resolve, { once: true }));
  viewport.resetCamera();
  viewport.render();
  await last;
  // Compute digests only now, so that they do not delay what is timed.
  for (const [entry, scalars] of came) entry.digest = await digest(scalars);
  canvases.set(name, pixels());
  element.removeEventListener(cs.EVENTS.IMAGE_RENDERED, rendered);
  cs.eventTarget.removeEventListener(cs.EVENTS.IMAGE_RETRIEVAL_STAGE, stage);
  return { ...seen, ended: at() };
};

/** The number of pixels that differ between the canvases of two shows, and the largest difference. */
window.compare = (one, other) => {
  const [a, b] = [canvases.get(one), canvases.get(other)];
  let differing = 0, most = 0;
  for (let i = 0; i < Math.max(a.length, b.length); i += 4) {
    const difference = Math.abs(a[i] - b[i]);
    differing += difference !== 0;
    most = Math.max(most, difference);
  }
  return { differing, most, lit: lit(a) };
};

async function imageIds(root, series, only) {
  const answer = await fetch(`${root}${series}/metadata`, { headers: added });
  const instances = await answer.json();
  const position = (instance) => instance['00200032'].Value[2];
  instances.sort((one, other) => position(one) - position(other));
  return instances.slice(0, only ?? undefined).map((instance) => {
    const id = `wadors:${root}${series}/instances/${instance['00080018'].Value[0]}/frames/1`;
    wadors.metaDataManager.add(id, instance);
    return id;
  });
}

function pixels() {
  const canvas = element.querySelector('canvas');
  return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
}

/** The share of pixels that are not black. */
function lit(data) {
  let count = 0;
  for (let i = 0; i < data.length; i += 4) count += data[i] > 0;
  return count / (data.length / 4);
}

async function digest(scalars) {
  const bytes = new Uint8Array(scalars.buffer, scalars.byteOffset, scalars.byteLength);
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.slice()));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

window.isReady = true;

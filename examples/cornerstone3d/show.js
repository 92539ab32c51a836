// Shows a series with Cornerstone3D 5: each picture early and smaller by its first 64 KiB, then complete.
//
//     await show(document.getElementById('picture'), {
//       root: 'https://imaging.example',   // the proxy; config.yaml lists this page's host under cors.origins
//       study: '1.2.3', series: '1.2.3.4', as: 'stack',   // or 'volume'
//     });

import * as cornerstone from '@cornerstonejs/core';
import { init as initLoader, wadors } from '@cornerstonejs/dicom-image-loader';

const { ProgressiveRetrieveImages, utilities } = cornerstone;
const { sequentialRetrieveStages, interleavedRetrieveStages } = ProgressiveRetrieveImages;

const first = { rangeIndex: 0, chunkSize: 65536, initialChunkSize: 65536 };
const rest = { rangeIndex: -1 };
const fast = { ...first, decodeLevel: 1 };

export const STACK = {
  ...sequentialRetrieveStages,
  retrieveOptions: { singleFast: { ...first, decodeLevel: 3 }, singleFinal: rest },
};
export const VOLUME = {
  ...interleavedRetrieveStages,
  retrieveOptions: { default: fast, multipleFast: fast, multipleFinal: rest },
};

let started;

/** Starts Cornerstone3D once. `wasmBasePath` is the folder with the decoders' files. */
function start(wasmBasePath) {
  started ??= (async () => {
    await cornerstone.init();
    initLoader({ maxWebWorkers: 2, useLegacyMetadataProvider: true, wasmBasePath });
    utilities.imageRetrieveMetadataProvider.add('stack', STACK);
    utilities.imageRetrieveMetadataProvider.add('volume', VOLUME);
  })();
  return started;
}

/** The ids of a series' images, in order of their position. Their metadata is then known to Cornerstone3D. */
async function imageIdsOf(root, study, series) {
  const path = `${root}/studies/${study}/series/${series}`;
  const response = await fetch(`${path}/metadata`, { headers: { Accept: 'application/dicom+json' } });
  const instances = await response.json();
  const place = (instance) => instance['00200032']?.Value[2] ?? instance['00200013']?.Value[0] ?? 0;
  instances.sort((one, other) => place(one) - place(other));
  return instances.map((instance) => {
    const imageId = `wadors:${path}/instances/${instance['00080018'].Value[0]}/frames/1`;
    wadors.metaDataManager.add(imageId, instance);
    return imageId;
  });
}

/** Shows a series of single-frame instances in an element. Resolves to the viewport, while images still come. */
export async function show(element, { root, study, series, as = 'stack', wasmBasePath = '/wasm/' }) {
  await start(wasmBasePath);
  const imageIds = await imageIdsOf(root, study, series);
  const engine = new cornerstone.RenderingEngine('engine');
  const type = cornerstone.Enums.ViewportType[as === 'stack' ? 'STACK' : 'ORTHOGRAPHIC'];
  engine.enableElement({ viewportId: 'viewport', element, type });
  const viewport = engine.getViewport('viewport');
  if (as === 'stack') {
    await viewport.setStack(imageIds);
    viewport.render();
  } else {
    const volumeId = `cornerstoneStreamingImageVolume:${series}`;
    const volume = await cornerstone.volumeLoader.createAndCacheVolume(volumeId, { imageIds });
    await cornerstone.setVolumesForViewports(engine, [{ volumeId }], ['viewport']);
    volume.load();
    viewport.render();
  }
  return viewport;
}

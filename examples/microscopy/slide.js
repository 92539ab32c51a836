// Shows a slide with dicom-microscopy-viewer 0.48. Tiles that were seen before come from the proxy's cache.
//
//     await show(document.getElementById('slide'), {
//       root: 'https://imaging.example',   // the proxy; config.yaml lists this page's host under cors.origins
//       study: '1.2.3', series: '1.2.3.4',
//     });
//
// The viewer's decoders have to lie below /static/js/ of the page: the files of its package in dist/dynamic-import.

import * as microscopy from 'dicom-microscopy-viewer';
import { api } from 'dicomweb-client';

const SHOWN = ['VOLUME', 'THUMBNAIL'];

/** Shows the pyramid of a series of whole-slide images in an element. Resolves to the viewer. */
export async function show(element, { root, study, series }) {
  const client = new api.DICOMwebClient({ url: root });
  const metadata = await client.retrieveSeriesMetadata({ studyInstanceUID: study, seriesInstanceUID: series });
  const levels = metadata
    .map((instance) => new microscopy.metadata.VLWholeSlideMicroscopyImage({ metadata: instance }))
    .filter((image) => SHOWN.includes(image.ImageType[2]));
  const viewer = new microscopy.viewer.VolumeImageViewer({ client, metadata: levels });
  viewer.render({ container: element });
  return viewer;
}

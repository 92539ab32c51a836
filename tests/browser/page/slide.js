// The example of a page with dicom-microscopy-viewer, as it stands in `examples`. Tests call `show`.

import { show } from '../../../examples/microscopy/slide.js';

window.show = async (wanted) => {
  window.slide = await show(document.getElementById('picture'), wanted);
};

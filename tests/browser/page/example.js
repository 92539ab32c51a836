// The example of a page with Cornerstone3D, as it stands in `examples`. Tests call `show`.

import * as cornerstone from '@cornerstonejs/core';
import { show } from '../../../examples/cornerstone3d/show.js';

Object.assign(window, { cornerstone, show: async (wanted) => {
  await show(document.getElementById('picture'), wanted);
} });

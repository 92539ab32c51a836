"""Synthetic pictures made from real ones: a long CT series from one slice, and a large radiograph.

The same input yields the same pixels, because every random number comes from a seed in this file.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SLICES = 174
"""Slices of the synthetic series."""

SLICE_NOISE = (0.8, 3.2)
"""Range of the standard deviation of the noise added to a slice, in stored values, as dose varies.

The real slice has 115 KB. The noise brings the slices to 118 to 148 KB, as in real series.
"""

LARGE_EDGE = 3036
"""Rows and columns of the large radiograph."""

LARGE_NOISE = 82.0
"""Standard deviation of the radiograph's added noise, in stored values; 82 was found to yield 11.1 MB.

The source's own noise is 66; enlarging reduces it.
"""

PADDING = -2000
"""The stored value outside the scanner's circle."""

Pixels = NDArray[Any]


def ct_slice(source: Pixels, index: int) -> Pixels:
    """Returns slice `index`, 0-based, of a series around one real slice: slowly scaled and bent, with noise.

    `source` and the result are (rows, columns) of int16, with `PADDING` outside the circle.
    """
    inside = source != PADDING
    turn = 2 * np.pi * index / SLICES
    rows = _bent(source.shape[0], scale=0.93 + 0.1 * np.cos(turn), swing=4 * np.sin(2 * turn))
    columns = _bent(source.shape[1], scale=0.93 + 0.1 * np.cos(turn + 0.3), swing=4 * np.sin(3 * turn))
    warped = _sampled(np.where(inside, source, 0).astype(np.float64), rows, columns)
    noise = np.random.default_rng([SLICES, index]).standard_normal(source.shape)
    least, greatest = SLICE_NOISE
    strength = least + (greatest - least) * (1 + np.sin(5 * turn)) / 2
    return np.where(inside, np.rint(warped + strength * noise), PADDING).astype(source.dtype)


def large_radiograph(source: Pixels, bits_stored: int) -> Pixels:
    """Returns the middle square of a radiograph, enlarged, with noise; uint16."""
    edge = min(source.shape)
    top, left = ((length - edge) // 2 for length in source.shape)
    square = source[top : top + edge, left : left + edge].astype(np.float64)
    positions = np.linspace(0, edge - 1, LARGE_EDGE)
    large = _sampled(square, positions, positions)
    large += LARGE_NOISE * np.random.default_rng(LARGE_EDGE).standard_normal(large.shape)
    return np.clip(np.rint(large), 0, (1 << bits_stored) - 1).astype(np.uint16)


def _bent(length: int, scale: float, swing: float) -> NDArray[np.float64]:
    """Returns the source position of each row or column: scaled around the middle, bent by `swing` pixels."""
    place = np.arange(length) - (length - 1) / 2
    bent: NDArray[np.float64] = (length - 1) / 2 + place / scale + swing * np.sin(2 * np.pi * place / length)
    return bent


def _sampled(image: Pixels, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Pixels:
    """Returns bilinear samples at every pair of row and column; beyond the edge, the edge value."""
    low, part = _neighbours(rows, image.shape[0])
    image = image.take(low, axis=0) * (1 - part)[:, None] + image.take(low + 1, axis=0) * part[:, None]
    low, part = _neighbours(columns, image.shape[1])
    return image.take(low, axis=1) * (1 - part) + image.take(low + 1, axis=1) * part


def _neighbours(positions: NDArray[np.float64], length: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    low = np.clip(np.floor(positions), 0, length - 2).astype(np.intp)
    return low, np.clip(positions - low, 0.0, 1.0)

"""Narrow windows, and padding that is not part of the picture."""

from typing import Any

import numpy as np
import pytest

from proxy.codecs.render import show, windowed
from proxy.wire.display import Display, DisplayWindow, read_displays
from proxy.wire.pixels import ImagePixel


def said(**tags: Any) -> dict[str, Any]:
    return {tag.removeprefix("t"): {"vr": "??", "Value": [value]} for tag, value in tags.items()}


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_narrower_than_one_is_exact(function: str | None) -> None:
    told = said(t00281050=0.05, t00281051=0.04) | (said(t00281056=function) if function else {})
    (display,) = read_displays(told)
    assert display.window == DisplayWindow(0.05, 0.04, "sigmoid" if function == "SIGMOID" else "linear-exact")
    stored = np.arange(256, dtype="u1").reshape(16, 16)
    shown = windowed(stored, Display(slope=1 / 2550, window=display.window))
    shares = (stored / 2550 - 0.05) / 0.04
    wanted = 1 / (1 + np.exp(-4 * shares)) if function == "SIGMOID" else np.clip(shares + 0.5, 0, 1)
    assert np.abs(shown - wanted * 255).max() <= 0.5 + 1e-6
    assert len(np.unique(shown)) > 90


@pytest.mark.parametrize("width", [0, -1, "nan", "x"])
def test_a_window_without_a_width_is_none(width: object) -> None:
    assert read_displays(said(t00281050=40, t00281051=width))[0].window is None


def test_numbers_with_a_comma_are_numbers() -> None:
    (display,) = read_displays(said(t00281050="40,5", t00281051="400,25", t00281053="0,5"))
    assert (display.slope, display.window) == (0.5, DisplayWindow(40.5, 400.25))


PADDED = np.array([[-2000, 0, 500], [1000, 250, -2000]], "i2")


@pytest.mark.parametrize(
    ("pixel", "tags", "padding"),
    [
        ({"t00280103": 1}, {"t00280120": -2000}, (-2000, -2000)),
        ({"t00280103": 1}, {"t00280120": 63536}, (-2000, -2000)),
        ({"t00280103": 0}, {"t00280120": -1}, (65535, 65535)),
        ({"t00280103": 1}, {"t00280120": -2000, "t00280121": -1500}, (-2000, -1500)),
        ({"t00280103": 1}, {"t00280120": -1500, "t00280121": 63536}, (-2000, -1500)),
        ({"t00280103": 0, "t00280100": 8}, {"t00280120": 255, "t00280121": 250}, (250, 255)),
        ({"t00280103": 0}, {"t00280121": 250}, None),
        ({"t00280103": 0}, {"t00280120": "x"}, None),
    ],
)
def test_padding_is_read_with_the_sign_of_pixels(
    pixel: dict[str, Any], tags: dict[str, Any], padding: tuple[int, int] | None
) -> None:
    told = said(**{"t00280010": 2, "t00280011": 3, "t00280100": 16} | pixel | tags)
    assert read_displays(told)[0].padding == padding


@pytest.mark.parametrize(
    ("photometric", "black", "white"), [("MONOCHROME2", 0, 255), ("MONOCHROME1", 255, 0)]
)
def test_padding_is_neither_the_least_nor_the_most_and_is_black(
    photometric: str, black: int, white: int
) -> None:
    pixel = ImagePixel(2, 3, is_signed=True, photometric=photometric)
    shown = show(PADDED, pixel, Display(2, 5, padding=(-2000, -2000)))
    assert (shown[0, 0], shown[0, 1], shown[1, 0], shown[1, 2]) == (black, black, white, black)
    assert abs(int(shown[0, 2]) - 127) <= 1
    above = np.where(PADDED == -2000, 3071, PADDED).astype("i2")
    assert np.array_equal(show(above, pixel, Display(2, 5, padding=(3000, 3071))), shown)
    downwards = show(PADDED, pixel, Display(-1, 0, padding=(-2000, -1500)))
    assert (downwards[0, 0], downwards[0, 1], downwards[1, 0]) == (black, white, black)


def test_a_window_shows_padding_as_any_value() -> None:
    window = DisplayWindow(0, 8000, "linear-exact")
    assert np.array_equal(
        windowed(PADDED, Display(window=window, padding=(-2000, -2000))),
        windowed(PADDED, Display(window=window)),
    )


def test_a_picture_of_nothing_but_padding_is_black() -> None:
    assert not windowed(np.full((3, 3), 7, "u2"), Display(padding=(7, 7))).any()

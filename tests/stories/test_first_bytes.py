"""The first bytes identify a frame that is labelled octet-stream. Padded pictures need whole frames."""

from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.render import scale, windowed
from proxy.wire.display import Display, DisplayWindow
from tests.codestreams import PARTS, Pixels, htj2k, picture
from tests.house import house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, honest
from tests.stories.test_alternates import ALTERNATES, at, described
from tests.stories.test_rendered import OURS, PNG, WINDOW, of, shown

pytestmark = pytest.mark.anyio

GREY = picture(200, 301)
EIGHT = picture(200, 301, dtype="u1")
BODIES: dict[str, tuple[bytes, Pixels]] = {
    "jpeg": (
        bytes(imagecodecs.jpeg8_encode(EIGHT, 95)),
        imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(EIGHT, 95)),
    ),
    "jpeg-ls": (bytes(imagecodecs.jpegls_encode(GREY)), GREY),
    "jpeg-2000": (bytes(imagecodecs.jpeg2k_encode(GREY, 0, codecformat="j2k", reversible=True)), GREY),
    "htj2k": (htj2k(GREY, **PARTS), GREY),
}


@pytest.mark.parametrize(
    "label", ["application/octet-stream", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"]
)
@pytest.mark.parametrize("name", BODIES)
async def test_alternates_and_pictures_of_what_is_called_octet_stream(name: str, label: str) -> None:
    body, pixels = BODIES[name]

    def script(asked: Asked) -> Reply | None:
        is_frame = asked.path.partition("?")[0] in origin.frames
        return honest(body, asked, label=label) if is_frame else None

    bits: dict[str, Any] = {"00280100": 8 * pixels.itemsize, "00280101": 8 * pixels.itemsize}
    origin = described(ScriptedOrigin(script=script).with_series([body]), more=WINDOW | bits)
    async with house(origin, origin=OURS, alternates=ALTERNATES) as home:
        jls = await home.viewer.get(at("/jls/"), headers={"accept": "image/jls"})
        assert np.array_equal(imagecodecs.jpegls_decode(jls.content), pixels)
        found = shown(await home.viewer.get(of("rendered"), headers=PNG))
        assert np.array_equal(found, windowed(pixels, Display(window=DisplayWindow(1500, 2000))))


async def test_padding_is_left_out_of_account_in_a_small_picture_too() -> None:
    pixels = picture(512, 512, dtype="i2")
    pixels[:, :200] = -2000
    body = htj2k(pixels, **PARTS)
    tags = {"00280010": 512, "00280011": 512, "00280103": 1, "00280120": -2000}
    origin = described(ScriptedOrigin().with_series([body]), more=tags)
    async with house(origin, origin=OURS) as home:
        found = shown(await home.viewer.get(of("rendered?viewport=64,64"), headers=PNG))
        whole = windowed(pixels, Display(padding=(-2000, -2000)))
        assert np.array_equal(found, scale(whole, (0, 0, 512, 512), (64, 64)))

"""The supplier of rendered pictures (PS3.18 10.4.1.1.3 and 4): frames ready for display, in JPEG or PNG."""

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from proxy.alternates.maker import Maker
from proxy.alternates.material import Material
from proxy.codecs.jobs import Made, Rendering
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import CodestreamError
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.wire.display import Display
from proxy.wire.media import transfer_syntax_of
from proxy.wire.picture import Picture

RENDERED = "/rendered/"
"""Path segment of rendered pictures in their keys."""


class Renderer(Maker):
    """Renders the picture that a key names, from any frame.

    If the frame is HTJ2K, the renderer fetches only the first bytes that hold enough pixels for the picture.
    """

    def _recipe(self, key: FrameKey, material: Material) -> dict[str, Any]:
        picture = _picture_of(key)
        return {"picture": asdict(picture), "display": asdict(_display(picture, material))}

    async def _make(self, key: FrameKey, material: Material) -> tuple[Identity, Made]:
        picture, pixel = _picture_of(key), material.pixel
        fit, display = picture.fit(pixel.columns, pixel.rows), _display(picture, material)
        is_smaller = fit.covers != (pixel.columns, pixel.rows)
        # A smaller resolution blends padding into neighbouring pixels, so the window could not ignore it.
        is_padded = display.padding is not None and not (display.window or display.voi)
        if is_smaller and not is_padded and material.may_be_cut:
            with suppress(CodestreamError):  # then the whole frame is used, below
                identity, content, size = await material.reduced(ResolutionTarget(covers=fit.covers))
                job = _job(picture, identity, content, size, material)
                return identity, await self._done(job, material)
        identity, content = await material.whole()
        job = _job(picture, identity, content, (pixel.columns, pixel.rows), material)
        return identity, await self._done(job, material)


def _picture_of(key: FrameKey) -> Picture:
    assert key.picture is not None
    return key.picture


def _display(picture: Picture, material: Material) -> Display:
    return material.frames.display_of(material.key.resource).through(picture.window)


def _job(
    picture: Picture, identity: Identity, content: bytes, pixel_size: tuple[int, int], material: Material
) -> Rendering:
    """The job that renders `content`: a frame, or a smaller picture of it. `pixel_size` is columns, rows."""
    pixel, (columns, rows) = material.pixel, pixel_size
    fit = picture.fit(pixel.columns, pixel.rows)
    left, top, width, height = fit.region
    across, down = columns / pixel.columns, rows / pixel.rows
    return Rendering(
        content,
        transfer_syntax_of(identity.label),
        replace(pixel, columns=columns, rows=rows),
        _display(picture, material),
        (left * across, top * down, width * across, height * down),
        fit.size,
        picture.media,
        picture.quality,
    )

"""The supplier of one rendered picture of one frame."""

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from proxy.alternates.maker import Maker
from proxy.codecs.jobs import Made, Rendering
from proxy.codecs.workers import Workers
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import CodestreamError
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesFrames, SeriesLists
from proxy.frame.identity import Identity
from proxy.wire.display import Display
from proxy.wire.media import transfer_syntax_of
from proxy.wire.picture import Picture
from proxy.wire.pixels import ImagePixel


class Renderer(Maker):
    """The supplier of one picture."""

    def __init__(
        self, frame: Retrieval, picture: Picture, retrieve: Retrieve, lists: SeriesLists, workers: Workers
    ) -> None:
        super().__init__(frame, retrieve, lists, workers)
        self._picture = picture

    def _display(self, frames: SeriesFrames) -> Display:
        return frames.display_of(self._frame.key.resource).through(self._picture.window)

    def _recipe(self, frames: SeriesFrames) -> dict[str, Any]:
        return {"picture": asdict(self._picture), "display": asdict(self._display(frames))}

    async def _make(self, frames: SeriesFrames, pixel: ImagePixel) -> tuple[Identity, Made]:
        fit, display = self._picture.fit(pixel.columns, pixel.rows), self._display(frames)
        is_smaller = fit.covers != (pixel.columns, pixel.rows)
        # A smaller resolution has padding mixed with what is beside it, so it can't be left out of account.
        is_padded = display.padding is not None and not (display.window or display.voi)
        if is_smaller and not is_padded and self._may_be_cut(frames, pixel):
            with suppress(CodestreamError):  # else of the whole
                identity, content, size = await self._less(ResolutionTarget(covers=fit.covers))
                return identity, await self._rendered(identity, content, pixel, display, size)
        identity, content = await self._whole()
        return identity, await self._rendered(identity, content, pixel, display)

    async def _rendered(
        self,
        identity: Identity,
        content: bytes,
        pixel: ImagePixel,
        display: Display,
        size: tuple[int, int] | None = None,
    ) -> Made:
        """Of the bytes of a frame, or of a smaller picture of it that has this size."""
        columns, rows = size or (pixel.columns, pixel.rows)
        fit = self._picture.fit(pixel.columns, pixel.rows)
        left, top, width, height = fit.region
        across, down = columns / pixel.columns, rows / pixel.rows
        job = Rendering(
            content,
            transfer_syntax_of(identity.label),
            replace(pixel, columns=columns, rows=rows),
            display,
            (left * across, top * down, width * across, height * down),
            fit.size,
            self._picture.media,
            self._picture.quality,
        )
        return await self._done(job)

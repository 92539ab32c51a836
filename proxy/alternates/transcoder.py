"""The supplier of one alternate of one frame."""

from contextlib import suppress
from dataclasses import asdict, replace
from math import log2
from typing import Any

from proxy.alternates.maker import Maker
from proxy.codecs.jobs import Alternate, Job, Made
from proxy.codecs.workers import Workers
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import CodestreamError
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesFrames, SeriesLists
from proxy.frame.identity import Identity
from proxy.wire.media import HTJ2K_RPCL, JPHC, transfer_syntax_of
from proxy.wire.pixels import ImagePixel


class Transcoder(Maker):
    """The supplier of one alternate of one frame."""

    def __init__(
        self, frame: Retrieval, alternate: Alternate, retrieve: Retrieve, lists: SeriesLists, workers: Workers
    ) -> None:
        super().__init__(frame, retrieve, lists, workers)
        self._alternate = alternate

    def _recipe(self, frames: SeriesFrames) -> dict[str, Any]:
        del frames
        return asdict(self._alternate)

    async def _make(self, frames: SeriesFrames, pixel: ImagePixel) -> tuple[Identity, Made]:
        alternate = self._alternate
        scale = alternate.scale_of(pixel.columns, pixel.rows)
        if scale > 1 and self._may_be_cut(frames, pixel):
            with suppress(CodestreamError):  # else of the whole
                return await self._of_less(pixel, scale)
        identity, content = await self._whole()
        is_progressive = identity.label in (JPHC, f"{JPHC};transfer-syntax={HTJ2K_RPCL}")
        if is_progressive and scale == 1 and alternate == Alternate("htj2k"):
            return identity, Made(content, identity.label, (pixel.columns, pixel.rows))
        job = Job(content, transfer_syntax_of(identity.label), pixel, alternate, scale)
        return identity, await self._done(job)

    async def _of_less(self, pixel: ImagePixel, scale: int) -> tuple[Identity, Made]:
        """Of as many first bytes as hold the smaller picture, without decoding where HTJ2K is wanted."""
        identity, content, size = await self._less(ResolutionTarget(scale=scale))
        left = scale // (1 << round(log2(pixel.columns / size[0])))
        if left == 1 and self._alternate.codec == "htj2k" and not self._alternate.is_lossy:
            return identity, Made(content, identity.label, size)
        smaller = replace(pixel, columns=size[0], rows=size[1])
        job = Job(content, transfer_syntax_of(identity.label), smaller, self._alternate, max(1, left))
        return identity, await self._done(job)

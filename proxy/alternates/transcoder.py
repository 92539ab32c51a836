"""The supplier of one alternate: frames in another codec, at a smaller size, or both."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, replace
from math import log2
from typing import Any

from proxy.alternates.maker import Maker
from proxy.alternates.material import Material
from proxy.codecs.jobs import Alternate, Job, Made
from proxy.codecs.workers import Workers
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import CodestreamError
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import SeriesLists
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.wire.media import HTJ2K_RPCL, JPHC, transfer_syntax_of


class Transcoder(Maker):
    """Makes one configured alternate from any frame."""

    def __init__(
        self,
        alternate: Alternate,
        retrieve: Retrieve,
        lists: SeriesLists,
        workers: Workers,
        converted: Collection[str] = (),
    ) -> None:
        super().__init__(retrieve, lists, workers, converted)
        self._alternate = alternate

    def _recipe(self, key: FrameKey, material: Material) -> dict[str, Any]:
        del key, material
        return asdict(self._alternate)

    async def _make(self, key: FrameKey, material: Material) -> tuple[Identity, Made]:
        del key
        alternate, pixel = self._alternate, material.pixel
        scale = alternate.scale_of(pixel.columns, pixel.rows)
        if scale > 1 and material.may_be_cut:
            with suppress(CodestreamError):  # then the whole frame is used, below
                return await self._of_reduced(material, scale)
        identity, content = await material.whole()
        is_progressive = identity.label in (JPHC, f"{JPHC};transfer-syntax={HTJ2K_RPCL}")
        if is_progressive and scale == 1 and alternate == Alternate("htj2k"):
            return identity, Made(content, identity.label, (pixel.columns, pixel.rows))
        job = Job(content, transfer_syntax_of(identity.label), pixel, alternate, scale)
        return identity, await self._done(job, material)

    async def _of_reduced(self, material: Material, scale: int) -> tuple[Identity, Made]:
        """Uses only the first bytes that hold the smaller picture. Lossless HTJ2K needs no decoding."""
        identity, content, size = await material.reduced(ResolutionTarget(scale=scale))
        left = scale // (1 << round(log2(material.pixel.columns / size[0])))
        if left == 1 and self._alternate.codec == "htj2k" and not self._alternate.is_lossy:
            return identity, Made(content, identity.label, size)
        smaller = replace(material.pixel, columns=size[0], rows=size[1])
        job = Job(content, transfer_syntax_of(identity.label), smaller, self._alternate, max(1, left))
        return identity, await self._done(job, material)

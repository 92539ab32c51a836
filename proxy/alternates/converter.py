"""The supplier of HTJ2K on the plain path of frames, if an origin has them in another form."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from proxy.alternates.material import Material
from proxy.alternates.transcoder import Transcoder
from proxy.codecs.jobs import Alternate, Made
from proxy.codecs.workers import Workers
from proxy.errors import NotAcceptable, NotMade
from proxy.fetch.demand import Demand
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import SeriesLists
from proxy.frame.identity import Claim, Identity
from proxy.frame.key import FrameKey
from proxy.frame.supply import Answer, OriginRequest
from proxy.wire.ranges import Span

PLAIN_PATH = ""
"""`FrameKey.frames_path` of what it makes."""


class Converter(Transcoder):
    """Makes lossless HTJ2K of a stored frame. A frame that is HTJ2K stays as it is, lossy or not."""

    def __init__(
        self, retrieve: Retrieve, lists: SeriesLists, workers: Workers, converted: Collection[str]
    ) -> None:
        super().__init__(Alternate("htj2k"), retrieve, lists, workers, converted)

    @asynccontextmanager
    async def fetch(
        self,
        asked: OriginRequest,
        span: Span,
        held: Claim | None,
        stage: str,
        demand: Demand,
        stale: Claim | None = None,
    ) -> AsyncIterator[Answer]:
        """See `Maker.fetch`; but raises `NotAcceptable` if no HTJ2K can be made of such a frame."""
        try:
            async with super().fetch(asked, span, held, stage, demand, stale) as answer:
                yield answer
        except NotMade as error:
            words = f"the origin has no HTJ2K of this frame, and none can be made of it: {error}"
            raise NotAcceptable(words) from error

    async def _make(self, key: FrameKey, material: Material) -> tuple[Identity, Made]:
        identity, content = await material.whole()
        if identity.is_progressive:
            return identity, Made(content, identity.label, (material.pixel.columns, material.pixel.rows))
        return await super()._make(key, material)

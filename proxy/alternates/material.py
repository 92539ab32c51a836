"""The frame that an alternate is made from: its metadata, and as many of its bytes as are needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b

from proxy.codestream.reach import ResolutionTarget
from proxy.fetch.demand import Demand
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesFrames
from proxy.fetch.source import FrameSource, reduced
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.wire.media import HTJ2K
from proxy.wire.pixels import ImagePixel


@dataclass(frozen=True, slots=True)
class Material:
    """One frame, fetched through `Retrieve` like any other, with the urgency of its alternate."""

    retrieve: Retrieve
    """Fetches the frame."""
    frame: Retrieval
    """The request for the whole frame."""
    demand: Demand
    """The demand for the alternate."""
    frames: SeriesFrames
    """The series of the frame."""
    pixel: ImagePixel
    """How the pixels of the frame are stored."""

    @property
    def key(self) -> FrameKey:
        """The key of the frame."""
        return self.frame.key

    @property
    def may_be_cut(self) -> bool:
        """True if the first bytes can hold smaller pictures. Palette indices cannot be scaled down."""
        return self.frames.transfer_syntax in ("", *HTJ2K) and self.pixel.photometric != "PALETTE COLOR"

    async def reduced(self, target: ResolutionTarget) -> tuple[Identity, bytes, tuple[int, int]]:
        """The frame's identity, a smaller picture cut out of the first bytes, and its columns and rows.

        Raises `CodestreamError` if the codestream cannot be cut.
        """
        wanted = replace(self.frame, first=target, stop=target, is_completed=False)
        async with self._opened(wanted) as source:
            told, held = await reduced(source, target)
        content = b"".join(held.frame.pieces)
        return await _named(held.frame.identity, content), content, told.size

    async def whole(self) -> tuple[Identity, bytes]:
        """The frame's identity and all of its bytes."""
        async with self._opened(self.frame) as source:
            identity = await source.describe()
            await source.reached(identity.claim.total)
            content = b"".join(await source.take(0, identity.claim.total))
        return await _named(identity, content), content

    @asynccontextmanager
    async def _opened(self, wanted: Retrieval) -> AsyncIterator[FrameSource]:
        if self.retrieve.farther is not None:
            await self.retrieve.farther.bring_as(wanted.asked.person, wanted.key)
        reading, is_cancelled = self.retrieve.open(wanted), False
        hurry = _Hurry(self.retrieve, wanted, self.demand)
        self.demand.followers.add(hurry)
        try:
            yield reading.source
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            self.demand.followers.discard(hurry)
            if wanted.planned is None:
                reading.leave()
            else:
                self.retrieve.leave(wanted, reading, is_cancelled=is_cancelled)


class _Hurry:
    """Moves a frame from plan to viewer priority once a viewer wants the alternate made from it."""

    def __init__(self, retrieve: Retrieve, wanted: Retrieval, demand: Demand) -> None:
        self._retrieve = retrieve
        self._wanted = wanted
        self._demand = demand

    def move(self) -> None:
        if self._wanted.planned is not None and self._demand.planned is None:
            self._wanted = replace(self._wanted, planned=None)
            self._retrieve.open(self._wanted).leave()


async def _named(identity: Identity, content: bytes) -> Identity:
    """Names the identity by a hash of the bytes used, if the origin has no strong validator for them."""
    if identity.claim.validator is not None:
        return identity
    return identity.vouched(await asyncio.to_thread(blake2b, content))

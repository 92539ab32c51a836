"""The frame that something is made of: its metadata, and its bytes as far as they are needed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
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
    """One frame, fetched in the way of every frame, as urgently as what is made of it is wanted."""

    retrieve: Retrieve
    """The way of the frame."""
    frame: Retrieval
    """The request for the whole of it."""
    demand: Demand
    """Who wants what is made of it."""
    frames: SeriesFrames
    """Its series."""
    pixel: ImagePixel
    """How its pixels are stored."""

    @property
    def key(self) -> FrameKey:
        """The frame."""
        return self.frame.key

    @property
    def may_be_cut(self) -> bool:
        """Whether smaller pictures may be in the first bytes; a palette's indices have none."""
        return self.frames.transfer_syntax in ("", *HTJ2K) and self.pixel.photometric != "PALETTE COLOR"

    async def reduced(self, target: ResolutionTarget) -> tuple[Identity, bytes, tuple[int, int]]:
        """A smaller picture, cut out of the first bytes, and its size. Raises `CodestreamError`."""
        wanted = replace(self.frame, first=target, stop=target, is_completed=False)
        with self._opened(wanted) as source:
            told, held = await reduced(source, target)
        content = b"".join(held.frame.pieces)
        return await _named(held.frame.identity, content), content, told.size

    async def whole(self) -> tuple[Identity, bytes]:
        """All bytes of the frame."""
        with self._opened(self.frame) as source:
            identity = await source.describe()
            await source.reached(identity.claim.total)
            content = b"".join(await source.take(0, identity.claim.total))
        return await _named(identity, content), content

    @contextmanager
    def _opened(self, wanted: Retrieval) -> Iterator[FrameSource]:
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
    """Lets a frame wait no longer as a plan's, once a viewer wants what is made of it."""

    def __init__(self, retrieve: Retrieve, wanted: Retrieval, demand: Demand) -> None:
        self._retrieve = retrieve
        self._wanted = wanted
        self._demand = demand

    def move(self) -> None:
        if self._wanted.planned is not None and self._demand.planned is None:
            self._wanted = replace(self._wanted, planned=None)
            self._retrieve.open(self._wanted).leave()


async def _named(identity: Identity, content: bytes) -> Identity:
    """Named by the bytes that something is made of, if the origin has no strong validator for them."""
    if identity.claim.validator is not None:
        return identity
    return identity.vouched(await asyncio.to_thread(blake2b, content))

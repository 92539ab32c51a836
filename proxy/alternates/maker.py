"""The supplier of one thing that is made of one frame."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from proxy.codecs.jobs import Job, Made, Rendering
from proxy.codecs.workers import Workers
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import NotMade, OriginChanged
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesFrames, SeriesLists
from proxy.fetch.source import FrameSource, reduced
from proxy.frame.identity import Claim, Identity
from proxy.frame.key import SeriesKey
from proxy.frame.supply import Answer, OriginRequest
from proxy.origin.parts import once
from proxy.wire.media import HTJ2K
from proxy.wire.pixels import ImagePixel
from proxy.wire.ranges import Span


class Maker(ABC):
    """The supplier of one thing that is made of one frame."""

    keeps_labels = False
    has_validators = True

    def __init__(self, frame: Retrieval, retrieve: Retrieve, lists: SeriesLists, workers: Workers) -> None:
        self._frame = frame
        self._retrieve = retrieve
        self._lists = lists
        self._workers = workers

    @abstractmethod
    def _recipe(self, frames: SeriesFrames) -> dict[str, Any]:
        """What is made, and what it depends on beside the frame's own bytes."""

    @abstractmethod
    async def _make(self, frames: SeriesFrames, pixel: ImagePixel) -> tuple[Identity, Made]:
        """Makes it of that version of the frame."""

    def may_ask_again(self) -> bool:
        """The origin was asked again already."""
        return False

    def lift(self) -> None:
        """A viewer wants it now: what it is made of waits no longer as a plan's."""
        self._retrieve.open(self._frame).leave()

    @asynccontextmanager
    async def fetch(
        self, asked: OriginRequest, span: Span, held: Claim | None, stage: str
    ) -> AsyncIterator[Answer]:
        """Makes it. Raises `NotMade`, `CodestreamError`, and whatever fetching the frame does."""
        del asked, stage
        key = self._frame.key
        series = SeriesKey(key.origin, key.partition, key.resource.study, key.resource.series)
        frames = await self._lists.get(series, self._frame.asked.credentials)
        pixel = frames.pixel_of(key.resource)
        if pixel is None:
            raise NotMade("the metadata does not say how the pixels of this frame are stored")
        identity, made = await self._make(frames, pixel)
        version = json.dumps([identity.digest, self._recipe(frames)])
        validator = f'"{blake2b(version.encode(), digest_size=16).hexdigest()}"'
        size = "{}x{}".format(*made.size)
        claim = Claim(made.label, len(made.content), validator, identity.claim.lease, resolution=size)
        if held is not None and (held.label, held.total, held.validator) != (
            made.label,
            claim.total,
            validator,
        ):
            raise OriginChanged("the frame is another version than what was made of it", "validator")
        stop = claim.total if span.stop is None else min(span.stop, claim.total)
        yield Answer(claim, span.start, stop, once(made.content[span.start : stop]))

    def _may_be_cut(self, frames: SeriesFrames, pixel: ImagePixel) -> bool:
        """Whether smaller pictures may be in the first bytes; of a palette's indices there are none."""
        return frames.transfer_syntax in ("", *HTJ2K) and pixel.photometric != "PALETTE COLOR"

    async def _less(self, reach: ResolutionTarget) -> tuple[Identity, bytes, tuple[int, int]]:
        """As many first bytes as hold a smaller picture, and its size. Raises `CodestreamError`."""
        with self._opened(replace(self._frame, first=reach, stop=reach, is_completed=False)) as source:
            told, held = await reduced(source, reach)
        content = b"".join(held.frame.pieces)
        return await _named(held.frame.identity, content), content, told.size

    async def _whole(self) -> tuple[Identity, bytes]:
        with self._opened(self._frame) as source:
            identity = await source.describe()
            await source.reached(identity.claim.total)
            content = b"".join(await source.take(0, identity.claim.total))
        return await _named(identity, content), content

    async def _done(self, job: Job | Rendering) -> Made:
        return await self._workers.make(job, is_planned=self._frame.planned is not None)

    @contextmanager
    def _opened(self, wanted: Retrieval) -> Iterator[FrameSource]:
        opened, is_cancelled = self._retrieve.open(wanted), False
        try:
            yield opened.source
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            if wanted.planned is None:
                opened.leave()
            else:
                self._retrieve.leave(wanted, opened, is_cancelled=is_cancelled)


async def _named(identity: Identity, content: bytes) -> Identity:
    """By the bytes that something is made of, if the origin has no strong validator for them."""
    if identity.claim.validator is not None:
        return identity
    return identity.vouched(await asyncio.to_thread(blake2b, content))

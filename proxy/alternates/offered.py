"""Alternates of frames: the origin's own, or made here. To a fill whoever makes them is one more supplier.

So an alternate is a frame like any other: filled once for all who ask, cached, ranged, planned. What it is
made of comes the way of every frame too, and only as far as it is needed: of an HTJ2K frame the smaller
picture is cut out of its first bytes. Its validator names the version of the frame and what is made of it,
since making that again gives the same bytes.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from math import log2
from typing import Any

from proxy.cache.lacking import Lacking
from proxy.codecs.jobs import Alternate, Job, Made, Offered, Rendering
from proxy.codecs.workers import Workers
from proxy.codestream.reach import Reach
from proxy.errors import CodestreamError, NotMade, OriginChanged, OriginRefused
from proxy.fetch.fill import Site
from proxy.fetch.gate import Gate
from proxy.fetch.retrieve import Retrieve, Source, Wanted, reduced
from proxy.fetch.series import SeriesFrames, SeriesKey, SeriesLists
from proxy.frame.frame import Claim, Identity
from proxy.frame.supply import Answer, Asked
from proxy.origin.parts import once
from proxy.origin.window import Window
from proxy.telemetry.metrics import Metrics
from proxy.wire.media import HTJ2K, HTJ2K_RPCL, JPHC, transfer_syntax_of
from proxy.wire.pixels import ImagePixel
from proxy.wire.ranges import Span

IN_FLIGHT = 64
"""Alternates that are being made, or wait for what they are made of."""
REFUSALS = frozenset({400, 404, 405, 406, 410, 415, 501})
"""What an origin answers that has no such path; what it was asked for is made here then."""
UNCLEAR = frozenset({400})
"""Those of them that may be for the request and not for the path, so that nothing is learned of them."""


class Alternates:
    """Those that are offered, by the path that they have in URLs."""

    def __init__(
        self,
        offered: Iterable[Offered],
        retrieve: Retrieve,
        lists: SeriesLists,
        workers: Workers,
        metrics: Metrics,
    ) -> None:
        self._by_path = {each.path: each for each in offered}
        self._retrieve = retrieve
        self._lists = lists
        self._workers = workers
        # Making takes none of the origin's bytes and has its own queue: nobody is held back here.
        self._gate = Gate("alternates", IN_FLIGHT, metrics, window=Window(IN_FLIGHT << 20))
        self._lacking = Lacking()

    def get(self, frames_path: str, query: str) -> Offered | None:
        """The one at a path; none where a size is asked for, since such a picture is cut out of the frame."""
        return None if "fsiz=" in query else self._by_path.get(frames_path)

    def wanted(self, frame: Wanted, offered: Offered) -> Wanted:
        """A request for a frame as one for an alternate of it."""
        key = replace(frame.key, frames_path=offered.path)
        if offered.made == "never" or (offered.made == "if-missing" and key not in self._lacking):
            query = frame.asked.path.removeprefix(key.resource.path)
            path = key.resource.path_at(offered.path) + query
            return replace(frame, key=key, asked=replace(frame.asked, path=path))

        def site() -> Site:
            plain = replace(frame, first=None, stop=None, is_completed=True)
            maker = _Transcoder(plain, offered.alternate, self._retrieve, self._lists, self._workers)
            return Site(maker, self._gate, maker.lift)

        return replace(frame, key=key, first=None, site=site)

    def instead(self, wanted: Wanted, refused: OriginRefused) -> Offered | None:
        """What is made here of a frame, now that its origin refused its own; None if nothing is."""
        offered = self._by_path.get(wanted.key.frames_path)
        is_missing = wanted.site is None and refused.status in REFUSALS
        if offered is None or offered.made != "if-missing" or not is_missing:
            return None
        return replace(offered, made="always")

    def learn(self, wanted: Wanted, refused: int) -> None:
        """This was had; `refused` is the status by which the origin refused it before, or 0.

        Until it was made nobody knows if the origin lacks the alternate or the frame.
        """
        if wanted.key.frames_path in self._by_path and (wanted.site is None or refused in REFUSALS - UNCLEAR):
            self._lacking.note(wanted.key, is_there=wanted.site is None)


class Maker(ABC):
    """The supplier of one thing that is made of one frame."""

    keeps_labels = False
    has_validators = True

    def __init__(self, frame: Wanted, retrieve: Retrieve, lists: SeriesLists, workers: Workers) -> None:
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
    async def fetch(self, asked: Asked, span: Span, held: Claim | None, stage: str) -> AsyncIterator[Answer]:
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

    async def _less(self, reach: Reach) -> tuple[Identity, bytes, tuple[int, int]]:
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
    def _opened(self, wanted: Wanted) -> Iterator[Source]:
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


class _Transcoder(Maker):
    """The supplier of one alternate of one frame."""

    def __init__(
        self, frame: Wanted, alternate: Alternate, retrieve: Retrieve, lists: SeriesLists, workers: Workers
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
        identity, content, size = await self._less(Reach(scale=scale))
        left = scale // (1 << round(log2(pixel.columns / size[0])))
        if left == 1 and self._alternate.codec == "htj2k" and not self._alternate.is_lossy:
            return identity, Made(content, identity.label, size)
        smaller = replace(pixel, columns=size[0], rows=size[1])
        job = Job(content, transfer_syntax_of(identity.label), smaller, self._alternate, max(1, left))
        return identity, await self._done(job)

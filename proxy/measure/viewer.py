"""The measuring viewer: loads frames by one retrieve profile or another, and notes when they were there.

It keeps up to `CONNECTIONS` connections alive, and opens as many as it will use before the clock
starts: a viewer has just read the metadata through them. What is timed is from the first request until
the bytes are there; nothing is decoded.
"""

import asyncio
import re
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from proxy.errors import OriginError
from proxy.measure.picture import FIRST, MeasuredPicture
from proxy.measure.quarter_size import quarter_end
from proxy.measure.series import Kind
from proxy.measure.server import CONNECTIONS, Server
from proxy.plan.plan import Fetch, Plan
from proxy.plan.profile import Profile, stock_profile
from proxy.wire.ranges import Span
from proxy.wire.resource import parse_frame_path

FRAMES = "/frames/"
"""What stands in the URL of a frame before its number."""

ACCEPTS = (
    "image/jphc",
    'multipart/related; type="image/jphc"; transfer-syntax=*',
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
)
"""Tried in this order at each server, until one is not refused."""

_REFUSALS = (400, 404, 406, 415, 500)
_HIT = re.compile(r";\s*hit\b", re.ASCII)  # RFC 9211 2.1


class Way(StrEnum):
    """How a viewer asks for a frame."""

    WHOLE = "whole"
    """A plain GET; the picture is seen when its frame is whole."""
    STREAMING = "streaming"
    """A plain GET; the first picture is seen when the first 64 KiB are there."""
    RANGE = "range"
    """`bytes=0-65535` of every frame, then the rests: `bytes=65536-`."""
    INTERLEAVED = "interleaved"
    """The stock profile of that name."""
    COARSE_INTERLEAVED = "coarseInterleaved"
    """The stock profile of that name."""
    SEQUENTIAL = "sequential"
    """The stock profile of that name."""

    def profile(self) -> Profile:
        """What a viewer carries out; none of them changes the URL. Reads a file, the first time."""
        match self:
            case Way.WHOLE | Way.STREAMING:
                return Profile()
            case Way.RANGE:
                return Profile(first=FIRST)
            case _:
                return stock_profile(self.value)


WAYS = {
    Kind.STACK: (Way.WHOLE, Way.STREAMING, Way.RANGE),
    Kind.VOLUME: (Way.WHOLE, Way.RANGE, Way.INTERLEAVED, Way.COARSE_INTERLEAVED, Way.SEQUENTIAL),
}
"""What is measured: the stock profiles are about the order of many frames, and streaming is not."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load took. Seconds from the first request; bytes of bodies."""

    first: float
    """Until the bytes of a first picture were there."""
    seen: float
    """Until every frame was whole, or else, where the way shows parts, the bytes of its quarter-size picture
    were there."""
    final: float
    """Until every byte of every frame was there."""
    first_bytes: int
    """That the first picture took."""
    seen_bytes: int
    """That must have been there for it: whole frames, or else up to the end of each one's quarter-size
    picture; nothing that a way asks for beyond that."""
    quarters: tuple[int, ...]
    """Bytes of each codestream that hold its quarter-size picture."""
    size: int
    """Bytes of all frames."""
    digests: tuple[bytes, ...]
    """SHA-256 of each frame's codestream, in the subject's order."""
    earliest: int
    """Which frame was seen first, 0-based."""
    codestream: bytes
    """Its codestream."""
    first_codestream: int
    """Bytes of that codestream which its first picture had."""
    is_hit: bool | None
    """Whether every answer was a hit (RFC 9211); None where one does not say."""
    first_size: tuple[int, int] | None = None
    """Width and height of its first picture, where that was one of its own."""


class Viewer:
    """Loads frames from one server, and remembers which way of asking works there."""

    def __init__(self, server: Server, frames_path: str = FRAMES, accepts: tuple[str, ...] = ACCEPTS) -> None:
        self.server = server
        """Whom it asks."""
        self._frames_path = frames_path
        self._accepts = list(accepts)

    async def load(self, paths: tuple[str, ...], way: Way, nonce: str = "") -> Loaded:
        """All frames once. Raises `OriginError`.

        With a `nonce` that nobody used before, a cache that keys on the query has none of it.
        """
        await self.warm(paths)
        profile = await asyncio.to_thread(way.profile)
        paths = tuple(path.replace(FRAMES, self._frames_path) for path in paths)
        while True:
            load = _Load(self.server, paths, way, Plan(profile, len(paths)), nonce, self._accepts[0])
            try:
                loaded = await load.run()
            except OriginError:
                if not load.is_refused or len(self._accepts) == 1:
                    raise
                del self._accepts[0]
            else:
                del self._accepts[1:]
                return loaded

    async def warm(self, paths: tuple[str, ...]) -> None:
        """Opens as many connections as it will use."""
        path = f"studies/{parse_frame_path(paths[0]).study}/series?limit=1"
        await together(self._touch(path) for _ in range(min(CONNECTIONS, len(paths))))

    async def _touch(self, path: str) -> None:
        async with self.server.ask(path, {"Accept": "application/dicom+json"}) as response:
            async for _ in response.aiter_raw():
                pass


class _Load:
    def __init__(
        self, server: Server, paths: tuple[str, ...], way: Way, plan: Plan, nonce: str, accept: str
    ) -> None:
        self._server = server
        self._paths = paths
        self._way = way
        self._query = f"?_={nonce}" if nonce else ""
        self._accept = accept
        self._pictures = [MeasuredPicture(is_progressive=way is not Way.WHOLE) for _ in paths]
        self._plan = plan
        self._change = asyncio.Event()
        self._hits: list[bool | None] = []
        self.is_refused = False

    async def run(self) -> Loaded:
        began = time.perf_counter()
        await together(self._fetch_in_turn() for _ in range(min(CONNECTIONS, len(self._paths))))
        return self._loaded(began)

    async def _fetch_in_turn(self) -> None:
        """One connection."""
        while not self._plan.is_done:
            fetch = self._plan.next()
            if fetch is None:
                await self._change.wait()
                continue
            await self._ask(fetch.image, _span(fetch))
            is_whole = self._pictures[fetch.image].whole_at is not None
            self._plan.ended(fetch, is_whole, ok=True)  # a failure ends the load
            self._change.set()
            self._change = asyncio.Event()

    async def _ask(self, index: int, span: Span | None) -> None:
        picture = self._pictures[index]
        headers = {"Accept": self._accept}
        if span is not None:
            headers["Range"] = span.to_header()
        async with self._server.ask(self._paths[index] + self._query, headers) as response:
            self.is_refused |= response.status_code in _REFUSALS
            picture.begin(response.status_code, response.headers, span)
            async for chunk in response.aiter_raw():
                picture.take(chunk, time.perf_counter())
            picture.end(time.perf_counter())
        self._hits.append(is_hit_of(response.headers))

    def _loaded(self, began: float) -> Loaded:
        pictures = self._pictures
        firsts = [picture.first_at or began for picture in pictures]
        index = firsts.index(min(firsts))
        earliest = pictures[index]
        seen = [self._seen(picture) for picture in pictures]
        return Loaded(
            first=min(firsts) - began,
            seen=max(at for at, _ in seen) - began,
            final=max(picture.whole_at or began for picture in pictures) - began,
            first_bytes=earliest.first_bytes,
            seen_bytes=sum(size for _, size in seen),
            quarters=tuple(quarter_end(picture.codestream()) for picture in pictures),
            size=sum(picture.received for picture in pictures),
            digests=tuple(picture.digest() for picture in pictures),
            earliest=index,
            codestream=earliest.codestream(),
            first_codestream=earliest.first_codestream,
            is_hit=None if None in self._hits else all(self._hits),
        )

    def _seen(self, picture: MeasuredPicture) -> tuple[float, int]:
        """When a frame was seen, and the bytes that must have been there."""
        if self._way is Way.WHOLE:
            return picture.whole_at or 0.0, picture.received
        end = quarter_end(picture.codestream())
        return picture.had_at(end), end


def _span(fetch: Fetch) -> Span | None:
    """What to ask for; None is a plain GET."""
    start, stop = fetch.part.start, fetch.part.stop
    assert isinstance(start, int), "the ways of `Way` have bytes alone"
    assert stop is None or isinstance(stop, int)
    return None if (start, stop) == (0, None) else Span(start, stop)


def is_hit_of(headers: Mapping[str, str]) -> bool | None:
    """Whether an answer was a hit (RFC 9211); None where it does not say."""
    status = headers.get("cache-status")
    return None if status is None else _HIT.search(status) is not None


async def together(works: Iterable[Coroutine[None, None, None]]) -> None:
    """All at once. The first error ends the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except* OriginError as several:
        error = several.exceptions[0]
    else:
        return
    raise error

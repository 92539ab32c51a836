"""The measuring viewer: loads frames by a retrieve profile and records when their bytes arrive.

It keeps up to `CONNECTIONS` connections alive. It opens them before the clock starts, because a real viewer
has just read the metadata through them. Times run from the first request to the arrival of the bytes; nothing
is decoded.
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
"""Path segment before a frame's number."""

ACCEPTS = (
    "image/jphc",
    'multipart/related; type="image/jphc"; transfer-syntax=*',
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
)
"""Accept headers, tried in this order at each server until one is not refused."""

_REFUSALS = (400, 404, 406, 415, 500)
_HIT = re.compile(r";\s*hit\b", re.ASCII)  # RFC 9211 2.1


class Way(StrEnum):
    """How a viewer requests a frame."""

    WHOLE = "whole"
    """A plain GET. The picture is visible when its frame is complete."""
    STREAMING = "streaming"
    """A plain GET. The first picture is visible when the first 64 KiB have arrived."""
    RANGE = "range"
    """`bytes=0-65535` of every frame, then the remainders: `bytes=65536-`."""
    INTERLEAVED = "interleaved"
    """The stock profile of that name."""
    COARSE_INTERLEAVED = "coarseInterleaved"
    """The stock profile of that name."""
    SEQUENTIAL = "sequential"
    """The stock profile of that name."""

    def profile(self) -> Profile:
        """Returns the viewer's profile; none of them changes the URL. The first call may read a file."""
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
"""Ways to measure. The stock profiles order many frames, so they are for volumes; streaming is not."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Times and sizes of one load. Times are seconds from the first request; sizes are bytes of bodies."""

    first: float
    """Until the bytes of a first picture had arrived."""
    seen: float
    """Until every frame was complete, or had its quarter-size picture if the way shows parts."""
    final: float
    """Until every byte of every frame had arrived."""
    first_bytes: int
    """Bytes of the first picture."""
    seen_bytes: int
    """Bytes that had to arrive by `seen`: whole frames, or up to each quarter-size picture's end, no more."""
    quarters: tuple[int, ...]
    """Bytes of each codestream that hold its quarter-size picture."""
    size: int
    """Bytes of all frames."""
    digests: tuple[bytes, ...]
    """SHA-256 of each frame's codestream, in subject order."""
    earliest: int
    """The frame that was visible first, 0-based."""
    codestream: bytes
    """The codestream of the frame that was visible first."""
    first_codestream: int
    """Bytes of `codestream` that the first picture had."""
    is_hit: bool | None
    """True if every response was a hit (RFC 9211); None if one does not say."""
    first_size: tuple[int, int] | None = None
    """Width and height of the first picture, if it had a URL of its own."""


class Viewer:
    """Loads frames from one server, and remembers which Accept header works there."""

    def __init__(self, server: Server, frames_path: str = FRAMES, accepts: tuple[str, ...] = ACCEPTS) -> None:
        self.server = server
        """The server to load from."""
        self._frames_path = frames_path
        self._accepts = list(accepts)

    async def load(self, paths: tuple[str, ...], way: Way, nonce: str = "") -> Loaded:
        """Loads all frames once. Raises `OriginError`.

        If `nonce` was never used before, a cache that keys on the query has none of the frames.
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
        """Opens as many connections as the load will use."""
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
        """Runs one connection."""
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
        """Returns when a frame was visible, and the bytes that had to arrive by then."""
        if self._way is Way.WHOLE:
            return picture.whole_at or 0.0, picture.received
        end = quarter_end(picture.codestream())
        return picture.had_at(end), end


def _span(fetch: Fetch) -> Span | None:
    """Returns the range to request; None is a plain GET."""
    start, stop = fetch.part.start, fetch.part.stop
    assert isinstance(start, int), "the ways of `Way` use only bytes"
    assert stop is None or isinstance(stop, int)
    return None if (start, stop) == (0, None) else Span(start, stop)


def is_hit_of(headers: Mapping[str, str]) -> bool | None:
    """True if a response was a hit (RFC 9211); None if it does not say."""
    status = headers.get("cache-status")
    return None if status is None else _HIT.search(status) is not None


async def together(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Runs all coroutines at once. The first error ends the others and is raised itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except* OriginError as several:
        error = several.exceptions[0]
    else:
        return
    raise error

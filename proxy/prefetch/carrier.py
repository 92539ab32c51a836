"""Carries out the fetches of one run, on behalf of one caller, through `Retrieve` like a viewer's request.

A frame that a viewer has already fetched is a cache hit and costs nothing. If the origin is busy (429 or
503), all fetches of the run wait for as long as the origin says, and try again. Viewers do not wait with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import TypeVar

from proxy.access.caller import Caller
from proxy.alternates.offered import Alternates
from proxy.alternates.request import FrameAddress, in_form, read_address, retrieval_of
from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import NotAcceptable, OriginBusy, OriginRefused, OtherForm
from proxy.fetch.ahead import Ahead
from proxy.fetch.permits import Permits
from proxy.fetch.reading import ResourceRequest
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import ListedFrames, SeriesFrames
from proxy.fetch.source import FrameSource
from proxy.fetch.turns import Rank, Turn
from proxy.frame.key import FrameKey
from proxy.plan.plan import Fetch
from proxy.plan.profile import Profile
from proxy.plan.queue import REQUEST_TYPES
from proxy.plan.stages import parts_of_frame
from proxy.prefetch.part import Part
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.request import split_url

Result = TypeVar("Result")

BUSY_TRIES = 5
"""Most retries of a fetch while the origin is busy."""
LONGEST_PAUSE = 60.0
"""Most seconds that a busy origin can make a run wait before one retry."""


@dataclass(frozen=True, slots=True)
class Means:
    """All that runs fetch with."""

    retrieve: Retrieve
    """Fetches each frame."""
    ahead: Ahead
    """Reads resources beside the frames."""
    alternates: Alternates
    """The alternates that stages can name by path."""
    permits: Permits
    """Lets the caller read what the origin lets it read."""
    telemetry: Telemetry
    """The metrics that runs update."""
    on_fetched: Callable[[str, FrameKey, int, bool], None]
    """Called with a profile, a key, the bytes prefetched, and True if a viewer has requested the frame."""


@dataclass(slots=True)
class Carrier:
    """The caller of one run, and what was fetched for it."""

    means: Means
    """All that it fetches with."""
    number: int
    """Order among runs. The run with the lower number goes first."""
    caller: Caller
    """The caller whose credentials the fetches use, until the run ends. It is never shown."""
    let_in: Callable[[], Awaitable[object]] | None = None
    """Raises `CallerRefused` if the maker is not let in any more. None for a viewer's run, and at the end."""
    fetched: int = 0
    """Bytes that came from the origin."""
    requests: int = 0
    """Fetches and resources that came from the origin."""
    longest: int = 0
    """Most bytes that one of them brought."""
    longest_pause: float = LONGEST_PAUSE
    """Most seconds that a busy origin can make the run wait before one retry."""
    _paused_until: float = field(default=0.0)

    def part(
        self,
        name: str,
        profile: Profile,
        frames: SeriesFrames | ListedFrames,
        images: range,
        form: str = "",
    ) -> Part:
        """Plans the fetches of a series. Raises `ConfigurationError` if the profile does not fit it."""
        syntax = self.means.alternates.syntax_of(frames.key.origin, frames.transfer_syntax)
        return Part(name, profile, frames, images, syntax or None, form)

    def forget(self) -> None:
        """Drops the credentials, at the end of the run."""
        self.caller, self.let_in = replace(self.caller, credentials=(), forwarded=()), None

    async def fetch(self, part: Part, fetch: Fetch) -> tuple[int, bool]:
        """Fetches one part of a frame. Returns the offset of its end, and True if the frame is complete.

        Raises `NotAcceptable` if the stage asks for a media type that the proxy does not serve itself,
        `BadResource` if the stage's path or arguments are malformed, and `OriginError`.
        """
        wanted, refused, alternates = self._request(part, fetch), 0, self.means.alternates
        while True:
            try:
                fetched = await self.patiently(partial(self._fetch_once, part, wanted))
            except (OriginRefused, OtherForm) as error:
                if not alternates.is_made_instead(wanted, error):
                    raise
                wanted, refused = self._request(part, fetch, is_made=True), error.status
            else:
                alternates.learn(wanted, refused)
                return fetched

    async def show(self, part: Part, image: int) -> None:
        """Fetches all of the image at a place in the series, as a viewer's panel of series shows it.

        Raises `OriginError`.
        """
        address = FrameAddress(part.frames.resource(image), "", form=part.form)
        wanted = self._retrieval(part, address, parts_of_frame(part.profile)[0].stop, None, REQUEST_TYPES[1])
        await self.patiently(partial(self._fetch_once, part, wanted))

    async def read(self, asked: ResourceRequest) -> None:
        """Reads a resource ahead, if such resources are kept. Raises `OriginError`."""
        if self.means.ahead.is_kept(asked):
            await self._let_in()
            read = partial(self.means.ahead.read, self.caller, asked, self.number)
            self._count(await self.patiently(read))

    async def patiently(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Does the work; while the origin is busy, waits and tries again. Raises the last error."""
        for attempt in range(BUSY_TRIES + 1):
            await asyncio.sleep(max(0.0, self._paused_until - perf_counter()))
            try:
                return await work()
            except OriginBusy as error:
                if attempt == BUSY_TRIES:
                    raise
                pause = 2.0**attempt if error.retry_after is None else error.retry_after
                pause = min(pause, self.longest_pause)
                self._paused_until = max(self._paused_until, perf_counter() + pause)
        raise AssertionError("unreachable")

    async def _let_in(self) -> None:
        if self.let_in is not None:
            await self.let_in()

    async def _fetch_once(self, part: Part, wanted: Retrieval) -> tuple[int, bool]:
        await self._let_in()
        retrieve = self.means.retrieve
        await retrieve.bring(self.caller, wanted.key)
        permits = self.means.permits
        self.caller = await permits.admit(self.caller, wanted.key)
        wanted = wanted.within(self.caller.partition)
        wanted = replace(wanted, permit=permits.permit(self.caller, wanted.key))
        opened, is_cancelled = retrieve.open(wanted), False
        try:
            total = (await opened.source.describe()).claim.total
            stop = await _bytes_of(opened.source, wanted.stop, total)
            await opened.source.reached(stop)
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            retrieve.leave(wanted, opened, is_cancelled=is_cancelled)
        brought, is_used = opened.count(stop)
        if brought:
            self._count(brought)
            part.fetched += brought
            self.means.telemetry.metrics.prefetched_bytes.labels(part.profile_name).inc(brought)
            self.means.on_fetched(part.profile_name, wanted.key, brought, is_used)
        return stop, stop == total

    def _count(self, brought: int) -> None:
        if brought:
            self.fetched += brought
            self.requests += 1
            self.longest = max(self.longest, brought)

    def _request(self, part: Part, fetch: Fetch, *, is_made: bool = False) -> Retrieval:
        """The request that a viewer would send in this stage. Raises `NotAcceptable`, `BadResource`."""
        alternates, resource = self.means.alternates, part.frames.resource(part.images[fetch.image])
        url = f"{resource.path_at(fetch.frames_path or '/frames/')}?{fetch.url_arguments or ''}"
        path, ours, query = split_url(url)
        address = in_form(read_address(path, query, alternates), ours.get("accept"), part.form)
        if address is None:
            raise NotAcceptable("urlArguments ask for a media type that only the origin serves")
        stop, queue = fetch.part.stop, (fetch.request_type, fetch.priority)
        return self._retrieval(part, address, stop, stop, *queue, is_made=is_made)

    def _retrieval(
        self,
        part: Part,
        address: FrameAddress,
        first: Stop | None,
        stop: Stop | None,
        request_type: str,
        priority: int = 0,
        *,
        is_made: bool = False,
    ) -> Retrieval:
        rank = Rank(Turn.PLAN_FIRST, self.number, REQUEST_TYPES.index(request_type), priority)
        return retrieval_of(
            address,
            self.caller,
            self.means.alternates,
            first=first,
            stop=stop,
            is_completed=stop is None,
            validators=part.profile.validators,
            planned=rank,
            is_made=is_made,
        )


async def _bytes_of(source: FrameSource, stop: Stop | None, total: int) -> int:
    if isinstance(stop, ResolutionTarget):
        return (await source.told(stop)).stop
    return total if stop is None else min(stop, total)

"""Responses to viewers, sent as their bytes arrive.

The proxy sends nothing before the first byte of the body is in. Until then it can still answer an error with
a status. After that, an error can only end the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from math import floor
from time import perf_counter

from starlette.types import Receive, Send

from proxy.cache.lifetimes import Stale
from proxy.fetch.source import CacheOutcome, FrameSource
from proxy.frame.identity import Identity
from proxy.viewers.response import Headers, ResponseHead, wrapping_of
from proxy.wire.media import Envelope
from proxy.wire.resource import FrameResource

NAME = "progressive-proxy"
REPEAT = "repeat"
"""The key of a `Repeat` in the message that begins a response (`proxy.viewers.repeats`)."""
FIRST = 65536
"""Bytes of a codestream that count as a first picture in the metrics."""


def cache_status(outcome: CacheOutcome, tier: str = "", stale: Stale | None = None) -> str:
    """The value of Cache-Status (RFC 9211), with the tier that the bytes were brought from.

    >>> cache_status(CacheOutcome.HIT, "disk"), cache_status(CacheOutcome.COLLAPSED)
    ('progressive-proxy; hit; detail=disk', 'progressive-proxy; fwd=miss; collapsed')
    """
    did = f"fwd={outcome}; stored"
    if stale is not None:
        did = f"fwd=stale; ttl={floor(-stale.ended)}; detail=stale-if-error"
    elif outcome is CacheOutcome.HIT:
        did = f"hit; detail={tier}" if tier else "hit"
    elif outcome is CacheOutcome.COLLAPSED:
        did = "fwd=miss; collapsed"
    return f"{NAME}; {did}"


@dataclass(slots=True)
class DeliveryProgress:
    """How far a response has come; times are in seconds from the request."""

    began: float
    """When the request came, by the clock of `perf_counter`."""
    via: bytes = b""
    """The value of the response's Via (RFC 9110 7.6.3)."""
    outcome: CacheOutcome = CacheOutcome.MISS
    """How the cache handled the request."""
    tier: str = ""
    """The tier behind memory that the frame was brought from for this request; empty if none."""
    stale: Stale | None = None
    """The stale frame that stands in for the origin; None if no frame does."""
    profile: str = ""
    """Name of the profile that was chosen."""
    status: int = 0
    """Status of the response, once it has started."""
    has_started: bool = False
    """True if the status was sent, so that it can't change any more."""
    sent: int = 0
    """Bytes of the codestream that were handed to the connection."""
    first: float | None = None
    """When the first bytes of the picture were handed over; None if the response lacks them."""
    final: float | None = None
    """When the last byte of the frame was handed over; None if the response lacks it."""

    def count(self, size: int, composed: ResponseHead) -> None:
        """Counts `size` bytes of the codestream that were handed over."""
        self.sent += size
        at = composed.span.start + self.sent
        if composed.span.start == 0 and self.first is None and at >= min(FIRST, composed.stop):
            self.first = perf_counter() - self.began
        if composed.is_final and at == composed.stop:
            self.final = perf_counter() - self.began


async def send_frame(
    send: Send,
    composed: ResponseHead,
    source: FrameSource,
    progress: DeliveryProgress,
    pause: float,
    repeat: object = None,
) -> None:
    """Sends a response as its bytes arrive. Raises the error that ended the source.

    A viewer that streams draws nothing while bytes keep coming. So the proxy makes a `pause`, in seconds,
    after the first bytes of a large picture.
    """
    at, stop = composed.span.start, composed.stop
    steps = composed.steps if pause else (stop,)
    if at < stop:
        await source.reached(at + 1)
    is_all_here = composed.is_final and source.size >= stop
    headers = [*composed.headers, *_cache_headers(progress, is_all_here=is_all_here)]
    progress.has_started, progress.status = True, composed.status
    begin = {"type": "http.response.start", "status": composed.status, "headers": headers}
    await send(begin if repeat is None else {**begin, REPEAT: repeat})
    if composed.before:
        await send(_body(composed.before, is_last=False))
    for step in steps:
        async for piece in source.read(at, step):
            at += len(piece)
            await send(_body(piece, is_last=at == stop and not composed.after))
            progress.count(len(piece), composed)
        if step < stop:
            await asyncio.sleep(pause)
    if composed.after or composed.span.start == stop:
        await send(_body(composed.after, is_last=True))


async def send_part(
    send: Send,
    first: FrameResource,
    identity: Identity,
    pieces: AsyncIterator[bytes | memoryview],
    progress: DeliveryProgress,
    number: int,
    *,
    is_last: bool,
) -> None:
    """Sends one frame of several; before the first also the head of the response (PS3.18 8.6.1.2).

    `number` is that of the part, counted from 0. The response has no Content-Length, because it begins before
    the size of every frame is known.
    """
    wrapping, media = wrapping_of(identity, first, Envelope.MULTIPART)
    if number == 0:
        headers = [
            (b"content-type", media.encode()),
            (b"vary", b"Accept"),
            (b"cache-control", b"no-store"),  # it has no ETag to revalidate it with
            *_cache_headers(progress, is_all_here=False),
        ]
        progress.has_started, progress.status = True, 200
        await send({"type": "http.response.start", "status": 200, "headers": headers})
    delimiter = wrapping.before if number == 0 else b"\r\n" + wrapping.before
    await send(_body(delimiter, is_last=False))
    async for piece in pieces:
        progress.sent += len(piece)
        await send(_body(piece, is_last=False))
    if is_last:
        await send(_body(wrapping.after, is_last=True))


def _cache_headers(progress: DeliveryProgress, *, is_all_here: bool) -> Headers:
    """Cache-Status, Via, Server-Timing, which has the final bytes too if they are all here, and Age."""
    waited = perf_counter() - progress.began
    timing = f"first;dur={waited * 1000:.1f}" + (f", final;dur={waited * 1000:.1f}" if is_all_here else "")
    status = cache_status(progress.outcome, progress.tier, progress.stale)
    headers = [
        (b"cache-status", status.encode()),
        (b"server-timing", timing.encode()),
        (b"via", progress.via),
    ]
    if progress.stale is not None:  # RFC 9111 5.1
        headers.append((b"age", b"%d" % progress.stale.age))
    return headers


def _body(piece: bytes | memoryview, *, is_last: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": piece, "more_body": not is_last}


async def until_gone(receive: Receive, work: Coroutine[object, object, None]) -> bool:
    """Does the work unless the viewer leaves first; returns True if it was done.

    A task that only sends is not told that the viewer left, so a second task listens.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        working.cancel()
        leaving.cancel()
        del working, leaving  # an error keeps this frame, and the task its error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

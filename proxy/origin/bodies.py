"""The bodies of an origin's responses as they arrive: counted, decoded if need be, and bounded.

Each body has to come at a least rate, so that nobody holds a seat, or a place of `bounds`, for good with a
response that never ends. Only the time counts in which the proxy waits for bytes. While a body is not read,
it may stand still.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache

import httpx

from proxy.errors import OriginError, OriginHungUp, OriginMismatch, OriginStalled
from proxy.origin.codings import undone
from proxy.telemetry.telemetry import Telemetry

MEASURED = 65536
"""Bytes of the smallest body that tells the origin's rate."""


@dataclass(frozen=True, slots=True)
class LeastRate:
    """The rate at which a body has to come."""

    per_second: int = 0
    """Bytes a second; 0 is no limit."""
    over: float = 30.0
    """Seconds of waiting for bytes after which the rate is looked at."""


class Bodies:
    """Reads the bodies of one origin."""

    def __init__(
        self,
        origin: str,
        most: int,
        least: LeastRate,
        telemetry: Telemetry,
        broken: Callable[[OriginError], None] = lambda _: None,
    ) -> None:
        """`most` is the bytes of the largest body that is held. Bodies come at the `least` rate.

        `broken` is told why the body of a response that is no frame ended too early.
        """
        self._origin = origin
        self._most = most
        self._least = least
        self._broken = broken
        self._received = cache(telemetry.metrics.origin_bytes.labels)
        self._rate = cache(telemetry.metrics.origin_rate.labels)

    async def arriving(
        self, response: httpx.Response, stage: str, most: int | None = None, *, is_raw: bool = False
    ) -> AsyncIterator[bytes]:
        """The body as it arrives. Its content coding is undone unless `is_raw`. Raises `OriginError`.

        A coding gives `most` bytes; by default, as many as a frame may have.
        """
        received = self._received(self._origin, stage)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        raw = self._at_least_rate(response.stream, stage)
        coding = "" if is_raw else response.headers.get("content-encoding", "")
        try:
            async for chunk in undone(raw, coding, most or self._most) if coding else raw:
                received.inc(len(chunk))
                yield chunk
        except OriginError as error:
            self._tell(error, stage)
            raise
        except httpx.TransportError as error:  # a name for the fault would keep this frame in a cycle
            raise self._tell(_fault_of(error), stage) from error

    async def _at_least_rate(self, body: httpx.AsyncByteStream, stage: str) -> AsyncIterator[bytes]:
        clock, least, waited, size = asyncio.get_running_loop().time, self._least, 0.0, 0
        before, sent = 0.0, 0
        began = clock()
        try:
            async for chunk in body:
                waited += clock() - began
                size += len(chunk)
                yield chunk
                if waited >= least.over:
                    if size < least.per_second * waited:
                        raise OriginStalled("the origin sent a body more slowly than timeouts.least_rate")
                    before, sent, waited, size = before + waited, sent + size, 0.0, 0
                began = clock()
        finally:
            if sent + size >= MEASURED and before + waited > 0:
                self._rate(self._origin, stage).observe((sent + size) / (before + waited))

    async def bounded(
        self,
        body: AsyncIterator[bytes],
        most: int | None = None,
        fault: str = "more bytes than a frame may have",
    ) -> AsyncIterator[bytes]:
        """The same body. Raises `OriginMismatch` if it is longer than `most`; by default, than a frame is."""
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > (most or self._most):
                raise OriginMismatch(fault, "too_large")
            yield chunk

    def _tell(self, fault: OriginError, stage: str) -> OriginError:
        if stage == "pass":
            self._broken(fault)
        return fault


def _fault_of(error: httpx.TransportError) -> OriginError:
    if isinstance(error, httpx.TimeoutException):
        return OriginStalled("the origin fell silent inside a body")
    return OriginHungUp("the body ended before its announced length")

"""The bodies of an origin's responses as they arrive: counted, decoded if need be, and bounded."""

from collections.abc import AsyncIterator
from functools import cache

import httpx

from proxy.errors import OriginHungUp, OriginMismatch, OriginTimeout
from proxy.origin.codings import undone
from proxy.telemetry.telemetry import Telemetry


class Bodies:
    """Reads the bodies of one origin."""

    def __init__(self, origin: str, most: int, telemetry: Telemetry) -> None:
        """`most` is the bytes of the largest body that is held."""
        self._origin = origin
        self._most = most
        self._received = cache(telemetry.metrics.origin_bytes.labels)

    async def arriving(
        self, response: httpx.Response, stage: str, *, is_raw: bool = False
    ) -> AsyncIterator[bytes]:
        """The body as it arrives. Its content coding is undone unless `is_raw`. Raises `OriginError`."""
        received = self._received(self._origin, stage)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        raw = aiter(response.stream)
        coding = "" if is_raw else response.headers.get("content-encoding", "")
        try:
            async for chunk in undone(raw, coding) if coding else raw:
                received.inc(len(chunk))
                yield chunk
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin fell silent inside a body") from error
        except httpx.TransportError as error:
            raise OriginHungUp("the body ended before its announced length") from error

    async def bounded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same body. Raises `OriginMismatch` if it is longer than a frame may be."""
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > self._most:
                raise OriginMismatch("more bytes than a frame may have", "too_large")
            yield chunk

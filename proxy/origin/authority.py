"""Requests to servers that decide who may read: an authorizer, or an issuer of tokens. Bounded in all ways.

The authorizer sees a caller's credentials, so no redirect is followed. If the answer leads back to the proxy
(RFC 5842 7.2), the request fails as a loop.
"""

import asyncio
from collections.abc import Mapping

import httpx

from proxy.errors import AuthorityFailed, AuthorityTimeout, OriginError, OriginTimeout
from proxy.frame.supply import Headers
from proxy.origin.exchange import Exchange, encoded
from proxy.origin.transport import TransportLimits
from proxy.wire.via import Via

SECONDS = 5.0
"""Time for a whole answer."""
MOST_BYTES = 256 * 1024
"""Bytes of a body; a longer one is cut off there."""
LIMITS = TransportLimits(connect=SECONDS, first_byte=SECONDS, stall=SECONDS, connections=64)
"""Limits of the transport."""

Told = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of an answer."""


class Authority:
    """A server that decides who may read."""

    def __init__(
        self, name: str, transport: httpx.AsyncBaseTransport, via: Via, seconds: float = SECONDS
    ) -> None:
        """`name` stands for the server in messages. It has so many `seconds` for a whole answer."""
        self._name = name
        self._seconds = seconds
        self._exchange = Exchange(transport, None, via)

    async def get(self, url: str, headers: Headers) -> Told:
        """The answer to a GET. Raises `AuthorityFailed`, `AuthorityTimeout`."""
        return await self._told("GET", url, headers, b"")

    async def post(self, url: str, headers: Headers, body: bytes) -> Told:
        """The answer to a POST. Raises `AuthorityFailed`, `AuthorityTimeout`."""
        return await self._told("POST", url, headers, body)

    async def _told(self, method: str, url: str, headers: Headers, body: bytes) -> Told:
        plain = (*headers, ("accept-encoding", "identity"))
        try:
            async with asyncio.timeout(self._seconds):
                return await self._sent(httpx.Request(method, url, headers=encoded(plain), content=body))
        except (TimeoutError, OriginTimeout, httpx.TimeoutException) as error:
            raise AuthorityTimeout(f"{self._name} did not answer in time") from error
        except (OriginError, httpx.TransportError, httpx.InvalidURL) as error:
            raise AuthorityFailed(f"{self._name} gave no usable answer") from error

    async def _sent(self, request: httpx.Request) -> Told:
        response = await self._exchange.send(request)
        try:
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MOST_BYTES:
                    break
            return response.status_code, response.headers, body[:MOST_BYTES]
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._exchange.aclose()

"""httpx over the Rust transport of pyreqwest, so that bytes are handed on as they arrive.

The transport that pyreqwest ships for httpx collects 64 KiB before it gives an answer at all, and
again before each chunk; a first picture must not wait for that. This one gives the answer with its
headers and each chunk as the socket gave it. An answer that is not read is not received either: the
kernel's buffers fill and the sender stops.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import httpx
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    PoolTimeoutError,
    PyreqwestError,
    ReadTimeoutError,
)
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

_FAULTS: tuple[tuple[type[PyreqwestError], type[httpx.TransportError]], ...] = (
    (PoolTimeoutError, httpx.PoolTimeout),
    (ReadTimeoutError, httpx.ReadTimeout),
    (ConnectTimeoutError, httpx.ConnectTimeout),
    (ConnectError, httpx.ConnectError),
    (DecodeError, httpx.RemoteProtocolError),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds, and how many connections to hold."""

    connect: float = 5.0
    """For a connection."""
    read: float = 30.0
    """For the headers, and for each chunk after them."""
    connections: int | None = None
    """Open at once; None is no limit."""


class Transport(httpx.AsyncBaseTransport):
    """Sends one request and streams its answer. Redirects are not followed, bodies not decoded."""

    def __init__(self, limits: Limits) -> None:
        builder = ClientBuilder().follow_redirects(False).no_proxy().referer(False).tcp_nodelay(True)
        builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
        builder = builder.connect_timeout(timedelta(seconds=limits.connect))
        builder = builder.read_timeout(timedelta(seconds=limits.read))
        if limits.connections is not None:
            builder = builder.max_connections(limits.connections)
        self._client: Client = builder.build()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, as soon as its headers are there. Raises httpx's own errors."""
        builder = self._client.request(request.method, str(request.url)).headers(
            request.headers.multi_items()
        )
        if isinstance(request.stream, httpx.ByteStream):
            builder = builder.body_bytes(request.content)
        else:
            builder = builder.body_stream(request.stream)
        sent = builder.streamed_read_buffer_limit(0).build_streamed()
        try:
            response = await sent.__aenter__()
        except PyreqwestError as error:
            raise _mapped(error, request) from error
        body = _Body(sent, response, request)
        return httpx.Response(response.status, headers=_headers_of(response), stream=body)

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, sent: StreamRequest, response: Response, request: httpx.Request) -> None:
        self._sent = sent
        self._reader = response.body_reader
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self._reader.read_chunk()) is not None:
                yield bytes(chunk)
        except PyreqwestError as error:
            raise _mapped(error, self._request) from error

    async def aclose(self) -> None:
        await self._sent.__aexit__(None, None, None)


def _headers_of(response: Response) -> list[tuple[str, str]]:
    """All headers whose values are text; one that is not is dropped, and the answer is not lost for it."""
    try:
        return list(response.headers.items())
    except ValueError:
        kept: list[tuple[str, str]] = []
        for name in dict.fromkeys(response.headers.keys()):
            with suppress(ValueError):
                kept += [(name, value) for value in response.headers.getall(name)]
        return kept


def _mapped(error: PyreqwestError, request: httpx.Request) -> httpx.TransportError:
    for theirs, ours in _FAULTS:
        if isinstance(error, theirs):
            return ours(error.message, request=request)
    return httpx.ReadError(error.message, request=request)

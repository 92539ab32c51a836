"""httpx over the Rust transport of pyreqwest, so that bytes are passed on as they arrive.

The transport that pyreqwest ships for httpx collects 64 KiB before it returns a response, and again before
each chunk. A first picture must not wait for that. This transport returns the response as soon as its headers
are in, and each chunk as the socket gave it. If a response is not read, it is not received either: the
kernel's buffers fill, or the window of an HTTP/2 stream, and the sender stops.

A server may close an idle connection just when a request goes out on it. hyper itself repeats a request that
it had not begun to write. If a GET was written and not answered, this transport repeats it once, on a
connection of its own (RFC 9110 9.2.2, RFC 9112 9.3.1). An upload can't be repeated, so it never uses an idle
connection.

If a caller is cancelled, pyreqwest goes on waiting for the headers of its request, until its own time limit.
The limit is the longer of `first_byte` and `stall`, so that it cuts off nothing else. If a result or an error
arrives at the moment of a cancellation, pyreqwest returns it and the cancellation is lost. The task would
then go on, and whatever waits for its end would wait for ever. So this transport checks for a lost
cancellation.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import httpx
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from proxy.errors import ConfigurationError
from proxy.origin.faults import mapped, was_cut
from proxy.origin.rotation import Files, Rotating

STREAM_WINDOW = 2 * 1024 * 1024
"""Bytes of one response that may be unread over HTTP/2."""
CONNECTION_WINDOW = 32 * STREAM_WINDOW
"""Bytes of all responses of one connection that may be unread, so that one response can't use up all."""
LONGEST = timedelta(hours=1)
"""Time limit of a request on a connection of its own, including its response."""
PING_EVERY = timedelta(seconds=10)
"""Interval of pings over HTTP/2, because one dead connection would delay every request."""
PING_TIMEOUT = timedelta(seconds=5)
"""Time for the response to a ping; after it the connection counts as dead."""


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Time limits, in seconds, and the number of open responses."""

    connect: float = 5.0
    """Time for a connection, including TLS."""
    first_byte: float = 30.0
    """Time for the headers, including the connection; it starts anew with each chunk of a request body."""
    stall: float = 30.0
    """Time for each chunk of the body."""
    connections: int | None = None
    """Responses open at once; further requests wait. None is no limit."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates of the server and of the proxy, as PEM files. The proxy rereads files that change."""

    ca_file: Path | None = None
    """Certificate authorities that are trusted besides those of the system."""
    certificate_file: Path | None = None
    """The proxy's own certificate and its chain, for a server that asks for one."""
    key_file: Path | None = None
    """Private key of the certificate, not encrypted; required with `certificate_file`."""
    http2: bool = True
    """True if HTTP/2 is offered (ALPN, RFC 7301)."""


class _Clients:
    def __init__(self, pooled: Client, fresh: Callable[[], ClientBuilder]) -> None:
        self.pooled = pooled
        self._fresh = fresh

    @cached_property
    def fresh(self) -> Client:
        """Opens a connection for each request. It is seldom needed, and building it takes milliseconds.

        It has no limit between chunks, because pyreqwest would take an upload for silence.
        """
        return self._fresh().pool_max_idle_per_host(0).build()

    async def close(self) -> None:
        """Closes every connection."""
        await self.pooled.close()
        if "fresh" in self.__dict__:
            await self.fresh.close()


class Transport(httpx.AsyncBaseTransport):
    """Sends one request and streams the response. It follows no redirects and decodes no bodies."""

    def __init__(self, limits: TransportLimits, tls: Tls | None = None) -> None:
        """Reads the files of `tls`, which blocks. Raises `ConfigurationError`."""
        tls = tls or Tls()
        named = (tls.ca_file, tls.certificate_file, tls.key_file)

        def make(contents: Sequence[bytes]) -> _Clients:
            return _clients(limits, tls, contents)

        self._limits = limits
        self._clients = Rotating(Files(tuple(path for path in named if path is not None), make))
        self._room = asyncio.Semaphore(limits.connections) if limits.connections else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns the response as soon as its headers are in. Raises the errors of httpx."""
        if self._room is not None:
            await self._room.acquire()
        try:
            sent, response = await self._opened(request)
        except BaseException:
            self._leave()
            raise
        body = _Body(sent, response, request, self._limits.stall, self._leave)
        version = {"http_version": response.version.encode()}
        return httpx.Response(response.status, headers=_headers_of(response), stream=body, extensions=version)

    def _leave(self) -> None:
        if self._room is not None:
            self._room.release()

    async def _opened(self, request: httpx.Request) -> tuple[StreamRequest, Response]:
        clients = await self._clients.current()
        client = clients.pooled if _has_body_at_hand(request) else clients.fresh
        try:
            async with asyncio.timeout(self._limits.first_byte) as timer:
                try:
                    return await self._send(client, request, timer)
                except PyreqwestError as error:
                    if not (was_cut(error) and _may_be_repeated(request)):
                        raise
                    return await self._send(clients.fresh, request, timer, most=LONGEST)
        except PyreqwestError as error:
            raise mapped(error, request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no headers in time", request=request) from error

    async def _send(
        self, client: Client, request: httpx.Request, timer: asyncio.Timeout, most: timedelta | None = None
    ) -> tuple[StreamRequest, Response]:
        # The URL has the host already. Over HTTP/2 a second Host is refused (RFC 9113 8.3.1).
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
        builder = client.request(request.method, str(request.url)).headers(headers)
        if isinstance(request.stream, httpx.ByteStream):
            builder = builder.body_bytes(request.content)
        else:
            body = _prolonging(request.stream, timer, self._limits.first_byte)
            builder, most = builder.body_stream(body), LONGEST
        if most is not None:
            builder = builder.timeout(most)
        sent = builder.streamed_read_buffer_limit(0).build_streamed()
        leave = partial(sent.__aexit__, None, None, None)
        return sent, await _unless_cancelled(sent.__aenter__(), leave)

    async def aclose(self) -> None:
        """Closes every connection."""
        await (await self._clients.current()).close()


class _Body(httpx.AsyncByteStream):
    def __init__(
        self,
        sent: StreamRequest,
        response: Response,
        request: httpx.Request,
        stall: float,
        leave: Callable[[], None],
    ) -> None:
        self._sent = sent
        self._reader = response.body_reader
        self._request = request
        self._stall = stall
        self._leave: Callable[[], None] | None = leave

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                async with asyncio.timeout(self._stall):
                    chunk = await _unless_cancelled(self._reader.read_chunk())
                if chunk is None:
                    return
                yield bytes(chunk)
        except PyreqwestError as error:
            raise mapped(error, self._request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no byte in time", request=self._request) from error

    async def aclose(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            try:
                await self._sent.__aexit__(None, None, None)
            finally:
                leave()


async def _unless_cancelled(
    work: Awaitable[Value], undo: Callable[[], Awaitable[None]] | None = None
) -> Value:
    """Returns the result of the work. If its task was cancelled meanwhile, undoes it and ends the task."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        value = await work
    except PyreqwestError:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task.cancelling() > before:
        if undo is not None:
            await undo()
        raise asyncio.CancelledError
    return value


def _clients(limits: TransportLimits, tls: Tls, contents: Sequence[bytes]) -> _Clients:
    """Clients with the `contents` of the files of `tls`, in field order. Raises `ConfigurationError`."""
    left = iter(contents)
    authorities = next(left) if tls.ca_file else None
    identity = b"\n".join(left)
    if authorities is not None and b"-----BEGIN CERTIFICATE-----" not in authorities:
        raise ConfigurationError(f"{tls.ca_file}: holds no certificate in PEM")
    silence = timedelta(seconds=max(limits.first_byte, limits.stall))
    fresh = partial(_builder, limits, tls, authorities, identity)
    try:
        return _Clients(fresh().read_timeout(silence).build(), fresh)
    except (BuilderError, ValueError) as error:
        named = ", ".join(str(path) for path in (tls.ca_file, tls.certificate_file, tls.key_file) if path)
        words = "no certificates in PEM, or no key without a password that fits its certificate"
        raise ConfigurationError(f"{named}: {words}") from error


def _builder(limits: TransportLimits, tls: Tls, authorities: bytes | None, identity: bytes) -> ClientBuilder:
    builder = ClientBuilder().follow_redirects(False).no_proxy().referer(False).tcp_nodelay(True)
    builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
    builder = builder.connect_timeout(timedelta(seconds=limits.connect))
    if tls.http2:
        builder = builder.http2(True).http2_initial_stream_window_size(STREAM_WINDOW)
        builder = builder.http2_initial_connection_window_size(CONNECTION_WINDOW)
        builder = builder.http2_keep_alive_interval(PING_EVERY).http2_keep_alive_timeout(PING_TIMEOUT)
        builder = builder.http2_keep_alive_while_idle(True)
    if authorities is not None:
        builder = builder.add_root_certificate_pem(authorities)
    return builder.identity_pem(identity) if identity else builder


def _may_be_repeated(request: httpx.Request) -> bool:
    """True if the request is idempotent and can be sent again (RFC 9110 9.2.2)."""
    return request.method in ("GET", "HEAD") and _has_body_at_hand(request) and not request.content


def _has_body_at_hand(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)


async def _prolonging(
    stream: httpx.SyncByteStream | httpx.AsyncByteStream, timer: asyncio.Timeout, seconds: float
) -> AsyncIterator[bytes]:
    """The body of a request. Each chunk restarts the time limit for the response."""
    assert isinstance(stream, httpx.AsyncByteStream)
    async for chunk in stream:
        with suppress(RuntimeError):  # the response is in already, or late
            timer.reschedule(asyncio.get_running_loop().time() + seconds)
        yield chunk


def _headers_of(response: Response) -> list[tuple[str, str]]:
    """All headers whose values are text. Other headers are dropped, so that the response is not lost."""
    try:
        return list(response.headers.items())
    except ValueError:
        return list(_texts(iter(response.headers.items())))


def _texts(pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The pairs that can be had; behind one that can't be there may be more."""
    while True:
        try:
            yield next(pairs)
        except StopIteration:
            return
        except ValueError:
            pass

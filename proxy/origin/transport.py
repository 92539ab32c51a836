"""httpx over the Rust transport of pyreqwest, so that bytes are handed on as they arrive.

The transport that pyreqwest ships for httpx collects 64 KiB before it gives an answer at all, and
again before each chunk; a first picture must not wait for that. This one gives the answer with its
headers and each chunk as the socket gave it. An answer that is not read is not received either: the
kernel's buffers fill and the sender stops; over HTTP/2 a stream's window does.

A server may close an idle connection in the moment in which a request goes out on it. hyper itself
repeats what it had not begun to write; a GET that was written and not answered is repeated here, once,
on a connection of its own (RFC 9110 9.2.2, RFC 9112 9.3.1). An upload can't be repeated, so it never
goes out on an idle connection at all.

pyreqwest goes on waiting for the headers of a request whose caller was cancelled. Its own limit ends
that: the longer one of `first_byte` and `stall`, so that it cuts nothing else. Where what was waited for
comes, or breaks off, in the moment of a cancellation, pyreqwest gives that and the cancellation is lost;
but a task that goes on after its end is waited for for ever, so its end is asked after here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
"""Bytes of one answer that may lie here unread, over HTTP/2."""
CONNECTION_WINDOW = 32 * STREAM_WINDOW
"""Bytes of all answers of one connection; each that nobody reads takes its part, and none may take all."""
UPLOAD = timedelta(hours=1)
"""The longest request with a body that is a stream, its answer included."""
PING_EVERY = timedelta(seconds=10)
"""Over HTTP/2, where one dead connection would hold up every request."""
PING_TIMEOUT = timedelta(seconds=5)


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """How long to wait, in seconds, and how many answers to have open."""

    connect: float = 5.0
    """For a connection, TLS included."""
    first_byte: float = 30.0
    """For the headers, a connection included; counted anew with each chunk of a request's body."""
    stall: float = 30.0
    """For each chunk after them."""
    connections: int | None = None
    """Answers open at once, others wait for their turn; None is no limit."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server is known, and how we are. PEM files; what changes in them is taken up."""

    ca_file: Path | None = None
    """Authorities that are trusted beside the system's own."""
    certificate_file: Path | None = None
    """Our certificate and its chain, for a server that asks for one."""
    key_file: Path | None = None
    """Its private key, not encrypted; goes with `certificate_file`."""
    http2: bool = True
    """True if HTTP/2 is offered (ALPN, RFC 7301)."""


@dataclass(frozen=True, slots=True)
class _Clients:
    pooled: Client
    fresh: Client
    """Opens a connection for each request."""
    upload: Client
    """The same, without a limit between chunks: pyreqwest would count an upload as silence."""


class Transport(httpx.AsyncBaseTransport):
    """Sends one request and streams its answer. Redirects are not followed, bodies not decoded."""

    def __init__(self, limits: TransportLimits, tls: Tls | None = None) -> None:
        """Reads the files of `tls`; blocking. Raises `ConfigurationError`."""
        tls = tls or Tls()
        named = (tls.ca_file, tls.certificate_file, tls.key_file)

        def make(contents: Sequence[bytes]) -> _Clients:
            return _clients(limits, tls, contents)

        self._limits = limits
        self._clients = Rotating(Files(tuple(path for path in named if path is not None), make))
        self._room = asyncio.Semaphore(limits.connections) if limits.connections else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, as soon as its headers are there. Raises httpx's own errors."""
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
        client = clients.pooled if _has_body_at_hand(request) else clients.upload
        try:
            async with asyncio.timeout(self._limits.first_byte) as timer:
                try:
                    return await self._send(client, request, timer)
                except PyreqwestError as error:
                    if not (was_cut(error) and _may_be_repeated(request)):
                        raise
                    return await self._send(clients.fresh, request, timer)
        except PyreqwestError as error:
            raise mapped(error, request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no headers in time", request=request) from error

    async def _send(
        self, client: Client, request: httpx.Request, timer: asyncio.Timeout
    ) -> tuple[StreamRequest, Response]:
        # The URL says the host; in HTTP/2 one more Host is refused as a double (RFC 9113 8.3.1).
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
        builder = client.request(request.method, str(request.url)).headers(headers)
        if isinstance(request.stream, httpx.ByteStream):
            builder = builder.body_bytes(request.content)
        else:
            body = _prolonging(request.stream, timer, self._limits.first_byte)
            builder = builder.timeout(UPLOAD).body_stream(body)
        sent = builder.streamed_read_buffer_limit(0).build_streamed()
        leave = partial(sent.__aexit__, None, None, None)
        return sent, await _unless_cancelled(sent.__aenter__(), leave)

    async def aclose(self) -> None:
        """Closes every connection."""
        clients = await self._clients.current()
        for client in (clients.pooled, clients.fresh, clients.upload):
            await client.close()


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
    """The result of the work. If the task was cancelled meanwhile, the result is undone and the task ends."""
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
    """Clients with what the files of `tls` hold, in the order of its fields. Raises `ConfigurationError`."""
    left = iter(contents)
    authorities = next(left) if tls.ca_file else None
    identity = b"\n".join(left)
    if authorities is not None and b"-----BEGIN CERTIFICATE-----" not in authorities:
        raise ConfigurationError(f"{tls.ca_file}: holds no certificate in PEM")
    silence = timedelta(seconds=max(limits.first_byte, limits.stall))
    try:
        return _Clients(
            _builder(limits, tls, authorities, identity).read_timeout(silence).build(),
            _builder(limits, tls, authorities, identity)
            .read_timeout(silence)
            .pool_max_idle_per_host(0)
            .build(),
            _builder(limits, tls, authorities, identity).pool_max_idle_per_host(0).build(),
        )
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
    """True if sending it twice asks for no more than sending it once (RFC 9110 9.2.2)."""
    return request.method in ("GET", "HEAD") and _has_body_at_hand(request) and not request.content


def _has_body_at_hand(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)


async def _prolonging(
    stream: httpx.SyncByteStream | httpx.AsyncByteStream, timer: asyncio.Timeout, seconds: float
) -> AsyncIterator[bytes]:
    """A request's body; with each of its chunks the time to an answer begins anew."""
    assert isinstance(stream, httpx.AsyncByteStream)
    async for chunk in stream:
        with suppress(RuntimeError):  # the answer is there already, or late
            timer.reschedule(asyncio.get_running_loop().time() + seconds)
        yield chunk


def _headers_of(response: Response) -> list[tuple[str, str]]:
    """All headers whose values are text; one that is not is dropped, and nothing else is."""
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

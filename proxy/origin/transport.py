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
The limit is the longer of `first_byte` and `stall`, so that it cuts off nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path

import httpx
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from proxy.errors import ConfigurationError
from proxy.frame.supply import Headers
from proxy.origin.faults import mapped, was_cut
from proxy.origin.loop_turns import LoopTurns
from proxy.origin.outbound import Outbound, Way
from proxy.origin.response import A_TURN, Body, Texts, unless_cancelled
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


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    url: str
    headers: Headers
    """All but Host, names in lower case."""
    body: bytes | httpx.SyncByteStream | httpx.AsyncByteStream = b""
    """The bytes of the body, or a stream that can be read only once."""

    @property
    def may_be_repeated(self) -> bool:
        """True if the request is idempotent and can be sent again (RFC 9110 9.2.2)."""
        return self.method in ("GET", "HEAD") and self.body == b""


class Transport(httpx.AsyncBaseTransport):
    """Sends one request and streams the response. It follows no redirects and decodes no bodies."""

    def __init__(
        self,
        limits: TransportLimits,
        tls: Tls | None = None,
        outbound: Outbound | None = None,
        turns: LoopTurns | None = None,
    ) -> None:
        """Reads the files of `tls` and `outbound`, which blocks. Raises `ConfigurationError`.

        Bodies of all transports with the same `turns` take turns of the event loop.
        """
        tls = tls or Tls()
        secret = None if outbound is None else outbound.password_file
        named = [
            path for path in (tls.ca_file, tls.certificate_file, tls.key_file, secret) if path is not None
        ]

        def make(contents: Sequence[bytes]) -> _Clients:
            held = dict(zip(named, contents, strict=True))
            return _clients(limits, tls, Way(outbound, held.get(secret) if secret else None), held)

        self._limits = limits
        self._turns = turns or LoopTurns(A_TURN)
        self._texts = Texts()
        self._clients = Rotating(Files(tuple(named), make))
        self._room = asyncio.Semaphore(limits.connections) if limits.connections else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns the response as soon as its headers are in. Raises the errors of httpx."""
        # The URL has the host already. Over HTTP/2 a second Host is refused (RFC 9113 8.3.1).
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
        body = request.content if isinstance(request.stream, httpx.ByteStream) else request.stream
        return await self._answered(_Asked(request.method, str(request.url), headers, body))

    async def get(self, url: str, headers: Headers) -> httpx.Response:
        """The same for a GET, without a request of httpx, whose URL alone takes longer than all of this."""
        return await self._answered(_Asked("GET", url, headers))

    async def _answered(self, asked: "_Asked") -> httpx.Response:
        if self._room is not None:
            await self._room.acquire()
        try:
            sent, response, stall = await self._opened(asked)
        except BaseException:
            self._leave()
            raise
        body = Body(sent, response, self._turns, stall, self._leave)
        headers = self._texts.of(response, asked.url)
        version = {"http_version": response.version.encode()}
        return httpx.Response(response.status, headers=headers, stream=body, extensions=version)

    def _leave(self) -> None:
        if self._room is not None:
            self._room.release()

    async def _opened(self, asked: "_Asked") -> tuple[StreamRequest, Response, float | None]:
        """Sends a request. Returns also the limit for each chunk, which is None if the client keeps it."""
        clients, limits = await self._clients.current(), self._limits
        client = clients.pooled if isinstance(asked.body, bytes) else clients.fresh
        is_kept = client is clients.pooled and limits.stall >= limits.first_byte
        try:
            async with asyncio.timeout(limits.first_byte) as timer:
                try:
                    return *await self._send(client, asked, timer), None if is_kept else limits.stall
                except PyreqwestError as error:
                    if not (was_cut(error) and asked.may_be_repeated):
                        raise
                    return *await self._send(clients.fresh, asked, timer, most=LONGEST), limits.stall
        except PyreqwestError as error:
            raise mapped(error) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no headers in time") from error

    async def _send(
        self, client: Client, asked: "_Asked", timer: asyncio.Timeout, most: timedelta | None = None
    ) -> tuple[StreamRequest, Response]:
        builder = client.request(asked.method, asked.url).headers(asked.headers)
        if isinstance(asked.body, bytes):
            builder = builder.body_bytes(asked.body)
        else:
            body = _prolonging(asked.body, timer, self._limits.first_byte)
            builder, most = builder.body_stream(body), LONGEST
        if most is not None:
            builder = builder.timeout(most)
        sent = builder.streamed_read_buffer_limit(0).build_streamed()
        leave = partial(sent.__aexit__, None, None, None)
        return sent, await unless_cancelled(sent.__aenter__(), leave)

    async def aclose(self) -> None:
        """Closes every connection."""
        await (await self._clients.current()).close()


def _clients(limits: TransportLimits, tls: Tls, way: Way, held: Mapping[Path, bytes]) -> _Clients:
    """Clients with what the files of `tls` hold. Raises `ConfigurationError`."""
    authorities = held[tls.ca_file] if tls.ca_file else None
    identity = b"\n".join(held[path] for path in (tls.certificate_file, tls.key_file) if path)
    if authorities is not None and b"-----BEGIN CERTIFICATE-----" not in authorities:
        raise ConfigurationError(f"{tls.ca_file}: holds no certificate in PEM")
    silence = timedelta(seconds=max(limits.first_byte, limits.stall))
    fresh = partial(_builder, limits, tls, way, authorities, identity)
    try:
        return _Clients(fresh().read_timeout(silence).build(), fresh)
    except (BuilderError, ValueError) as error:
        named = [str(path) for path in (tls.ca_file, tls.certificate_file, tls.key_file) if path]
        if not named:  # the client reads the system's authorities, also for http
            words = "the certificate authorities of the system can't be read"
            raise ConfigurationError(
                f"{words}: install ca-certificates, or name a PEM file in SSL_CERT_FILE"
            ) from error
        words = "no certificates in PEM, or no key without a password that fits its certificate"
        raise ConfigurationError(f"{', '.join(named)}: {words}") from error


def _builder(
    limits: TransportLimits, tls: Tls, way: Way, authorities: bytes | None, identity: bytes
) -> ClientBuilder:
    builder = way.set_on(ClientBuilder()).follow_redirects(False).referer(False).tcp_nodelay(True)
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


async def _prolonging(
    stream: httpx.SyncByteStream | httpx.AsyncByteStream, timer: asyncio.Timeout, seconds: float
) -> AsyncIterator[bytes]:
    """The body of a request. Each chunk restarts the time limit for the response."""
    assert isinstance(stream, httpx.AsyncByteStream)
    async for chunk in stream:
        with suppress(RuntimeError):  # the response is in already, or late
            timer.reschedule(asyncio.get_running_loop().time() + seconds)
        yield chunk

"""The HTTP/1.1 protocol of the listeners: that of uvicorn, made safe for pooled connections, and bounded.

Servers in front of the proxy pool their connections to it. If bytes of one caller were parsed as the next
caller's request, they would be sent with that caller's token. So this protocol differs from uvicorn's:

- After a request with `Upgrade`, httptools takes the body for another protocol, and uvicorn parses its later
  bytes as the next request (uvicorn 2722, httptools 124). Here a second parser reads that body. The response
  ends the connection, and nothing after the body is parsed. The same holds for `Expect`: a viewer that gets
  its final response at once may send the body or leave it out.
- Trailers are dropped (RFC 9110 6.5.1). httptools reports them in the same way as headers.
- URL, headers, chunk extensions and trailers are bounded while they arrive, and headers have a deadline. The
  parser gets `SLICE` bytes at once, so of an endless header it holds only `header_bytes` and a slice.
- HTTP/1.0 has no chunks, so the end of the connection ends the body. If a response is cut off, a reset ends
  the connection, because otherwise the response would look complete.

A connection is between two requests, in a head, in a body, or deaf. A deaf connection parses no more bytes,
and stays deaf. Each error makes it deaf. The viewer gets the error after the responses to all its earlier
requests. Then the connection ends in two steps. If it ended with unread bytes, it would be reset at once, and
the viewer would lose that last response (RFC 9112 9.6). Only this module imports httptools.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from proxy.errors import BadRequest, ProxyError, TooLarge, TooSlow, UrlTooLong
from proxy.wire.head import Fields, check_head, joined, size_of, split_target
from proxy.wire.problem import answer_to

SLICE = 4096
"""Bytes that the parser gets at once."""
A_CHUNK = 16
"""Bytes of a chunk besides its content that do not count towards the bound (RFC 9112 7.1)."""
LINGER = 2.0
"""Seconds for which later bytes of a viewer are read and dropped, so that it gets its last response."""

_RESETS, _ENDS = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


def _everybody(method: bytes, fields: Fields) -> None:
    """Admits every request."""


def _uncounted(reason: str) -> None:
    """Counts nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that a request has to keep before the application sees it."""

    url_bytes: int = 16 * 1024
    """Maximum bytes of a URL."""
    header_bytes: int = 32 * 1024
    """Maximum bytes of all headers; also of chunk extensions and trailers."""
    header_seconds: float = 10.0
    """Maximum seconds from the first byte of a request to the last byte of its headers."""
    admit: Callable[[bytes, Fields], None] = _everybody
    """Checks the method and headers of a request. Raises `ProxyError` if it is not admitted."""
    count: Callable[[str], None] = _uncounted
    """Counts a refusal by the name of its error."""


class Http1(HttpToolsProtocol):
    """One connection of a viewer."""

    __slots__ = ("_arrived", "_deadline", "_fault", "_is_deaf", "_is_in_body", "_is_in_head", "_rules")

    def __init__(
        self,
        rules: Rules,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rules = rules
        self._is_in_head = self._is_in_body = self._is_deaf = False
        self._arrived = 0
        """Bytes of the head so far; in a body, bytes that are not content."""
        self._deadline: asyncio.TimerHandle | None = None
        self._fault: ProxyError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Starts the timeout of an idle connection."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timers of the connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unset_deadline()

    def data_received(self, data: bytes) -> None:
        """Parses the bytes, unless the connection is deaf."""
        self._unset_keepalive_if_required()
        at = 0
        while at < len(data) and not self._is_deaf:
            piece = data[at : at + SLICE]
            at += len(piece)
            self._arrived += len(piece)
            try:
                self.parser.feed_data(piece)
            except HttpParserUpgrade as upgrade:
                at -= len(piece) - upgrade.args[0]
                self._read_body_apart()
            except HttpParserError as error:
                if not self._is_deaf:
                    self._refuse(_fault_in(error))
            if self._arrived > self._rules.header_bytes and not self._is_deaf:
                self._refuse(TooLarge(f"headers, chunk extensions: {self._rules.header_bytes} bytes at most"))
        is_begun = self._is_in_head or (self._arrived and not self._is_in_body)
        if is_begun and self._deadline is None and not self._is_deaf:
            self._deadline = self.loop.call_later(self._rules.header_seconds, self._expire)

    def on_message_begin(self) -> None:
        """A request begins. It is refused if the connection is deaf."""
        if self._is_deaf:
            raise BadRequest("nothing is read behind the last request")
        self._is_in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the URL is in."""
        self.url += url
        if len(self.url) > self._rules.url_bytes:
            raise UrlTooLong(f"URL: {self._rules.url_bytes} bytes at most")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete, or a trailer, which is dropped."""
        if self._is_in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Starts the application, or refuses the request. Replaces uvicorn's, for faster hits."""
        limit = self._rules.header_bytes
        if self._arrived > limit and size_of(self.headers) > limit:  # otherwise a body came with it
            raise TooLarge(f"headers: {limit} bytes at most")
        version, method = self.parser.get_http_version(), self.parser.get_method()
        fields = joined(self.headers, b", ".join)
        check_head(version, method, self.url, fields)
        self._rules.admit(method, fields)
        is_old, expects = version == "1.0", fields.get(b"expect", b"").lower() == b"100-continue"
        scope = self.scope
        scope["method"], scope["http_version"] = method.decode("ascii"), version
        scope["raw_path"], scope["query_string"] = split_target(self.url)
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))
        earlier = self.cycle
        app: Any = self._until_closed if is_old else self.app
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects and not is_old,
            keep_alive=not (is_old or expects or b"upgrade" in fields) and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))
        self._is_in_head, self._is_in_body, self._arrived = False, True, 0
        self._unset_deadline()

    def on_body(self, body: bytes) -> None:
        """A part of the body is in."""
        self._arrived = max(0, self._arrived - len(body))
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._arrived = max(0, self._arrived - A_CHUNK)

    def on_message_complete(self) -> None:
        """The request is complete; with Upgrade, only its head."""
        if self.parser.should_upgrade():
            return
        self._is_in_body, self._arrived = False, 0
        cycle = self.cycle
        cycle.more_body = False
        cycle.message_event.set()
        self._is_deaf = not cycle.keep_alive

    def on_response_complete(self) -> None:
        """A response has ended. The next one begins, or the viewer gets the error."""
        if self._fault is not None and not self.pipeline:
            self._answer_refusal(self._fault)
        else:
            super().on_response_complete()

    def _read_body_apart(self) -> None:
        """Reads the body of a request with Upgrade by a second parser, with the framing of the request."""
        framing = (b"content-length", b"transfer-encoding")
        lines = [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] in framing]
        told = SimpleNamespace(
            on_body=self.on_body,
            on_chunk_header=self.on_chunk_header,
            on_message_complete=self.on_message_complete,
        )
        self.parser = HttpRequestParser(told)
        self.parser.feed_data(b"".join((b"POST / HTTP/1.1\r\n", *lines, b"\r\n")))

    def _expire(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # because an earlier response runs, which is not the viewer's fault
            self._deadline = self.loop.call_later(self._rules.header_seconds, self._expire)
        elif not self._is_deaf:
            self._refuse(TooSlow(f"headers: all of them within {self._rules.header_seconds:g} s"))

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, error: ProxyError) -> None:
        """Makes the connection deaf, and sends the error once earlier requests are answered."""
        self._is_deaf, self._fault = True, error
        self._unset_deadline()
        self._rules.count(type(error).__name__)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._answer_refusal(error)
        elif not self._is_in_body:
            pass  # the responses that run come first
        elif self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()  # its own body is broken, and the application has not started
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._answer_refusal(error)

    def _answer_refusal(self, error: ProxyError) -> None:
        if self.transport.is_closing():
            return
        wanted = next(
            (value.decode("latin-1") for name, value in self.headers or () if name == b"range"), None
        )
        status, headers, body = answer_to(error, wanted)
        headers = [*self.server_state.default_headers, *headers, (b"connection", b"close")]
        lines = [b"%s: %s\r\n" % pair for pair in headers]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.close)

    async def _until_closed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers HTTP/1.0. A body without a length ends with the connection (RFC 9112 6.3)."""
        cycle, is_open = self.cycle, False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal is_open
            if message["type"] == "http.response.start":
                has_body = scope["method"] != "HEAD" and message["status"] not in (204, 304)
                is_open = has_body and all(
                    name.lower() != b"content-length" for name, _ in message["headers"]
                )
                if is_open:
                    cycle.chunked_encoding = False
                    self._end_by(_RESETS)
            elif is_open:
                cycle.expected_content_length = len(message.get("body", b""))
                if not message.get("more_body"):
                    self._end_by(_ENDS)
            await send(message)

        await self.config.loaded_app(scope, receive, sending)

    def _end_by(self, lingering: bytes) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)


def _fault_in(error: HttpParserError) -> ProxyError:
    """The error for a parser's error. If a callback raised a `ProxyError`, that is its context."""
    if isinstance(error.__context__, ProxyError):
        return error.__context__
    return BadRequest(f"no request of HTTP/1.1: {error}")

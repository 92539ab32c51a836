"""HTTP/1.1 as viewers speak it: uvicorn's protocol, made safe to be pooled and bounded. A door to httptools.

Servers in front of the proxy pool their connections to it. If bytes of one caller were taken for the next
caller's request, they would travel under that caller's token. So uvicorn's protocol is changed in this:

- After a request with `Upgrade`, httptools takes the body for another protocol, and uvicorn parses its later
  bytes as the next request (uvicorn 2722, httptools 124). Here a second parser reads that body. The answer
  ends the connection, and nothing behind the body is parsed. The same holds for `Expect`: a viewer that gets
  its final answer at once may send the body or leave it out.
- Trailers are dropped (RFC 9110 6.5.1); httptools reports them as it reports headers.
- URL, headers, chunk extensions and trailers are bounded while they arrive, and headers have a deadline. The
  parser gets `SLICE` bytes at once, so it holds `header_bytes` and a slice of an endless header.
- A body of which nothing comes any more, or too little, ends the connection (`proxy.service.body`). If its
  request is answered already, nobody reads it, and all of it has to arrive in the time of one silence.
- Requests that are sent before the answers to earlier ones are read one slice at a time.
- To HTTP/1.0 the end of the connection ends a body, since it knows no chunks (`proxy.service.closing`).

A connection is between two requests, in a head, in a body, or deaf. A deaf connection parses nothing more,
and stays deaf. Each fault makes it deaf; the viewer is told of the fault after the answers to all its
earlier requests.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from proxy.errors import BadRequest, BodyTooLong, ProxyError, TooLarge, TooSlow, UrlTooLong
from proxy.service.body import Pace, parser_of_body
from proxy.service.closing import until_closed
from proxy.service.connections import Place
from proxy.service.held import HeldConnection
from proxy.service.refusal import fault_in
from proxy.service.rules import Rules
from proxy.wire.head import check_head, joined, size_of, split_target

SLICE = 4096
"""Bytes that the parser gets at once."""
A_CHUNK = 16
"""Bytes that a chunk may have beside its content, free of the bound (RFC 9112 7.1)."""


class Http1(HeldConnection):
    """One connection of a viewer."""

    __slots__ = (
        "_answering", "_arrived", "_deadline", "_fault", "_is_deaf", "_is_in_body", "_is_in_head", "_left",
        "_pace", "_pieces", "_taken",
    )  # fmt: skip

    def __init__(
        self,
        rules: Rules,
        place: Place,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(rules, place, config, server_state, app_state, _loop)
        self._is_in_head = self._is_in_body = self._is_deaf = False
        self._arrived = 0
        """Bytes of the head so far; in a body, of what is no content."""
        self._deadline: asyncio.TimerHandle | None = None
        self._fault: ProxyError | None = None
        self._left = b""
        """Bytes behind a request that waits for its turn; unread, since each response takes memory."""
        self._pieces: list[bytes] = []
        """The body that came with the bytes that are being parsed."""
        self._answering: RequestResponseCycle | None = None
        """The request whose turn it is; uvicorn knows of the last one that came."""
        self._taken = 0  # bytes of the body so far
        self._pace = Pace(self.timeout_keep_alive, rules.body_rate)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A connection of which nothing is heard is idle."""
        super().connection_made(transport)
        if self._place.refusal is not None:
            self._is_deaf = True
            self._answer_refusal(self._place.refusal)
            return
        if certificate := transport.get_extra_info("peercert"):  # TLS has verified it
            self.app_state = {**self.app_state, "certificate": certificate}
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what waits for more."""
        super().connection_lost(exc)
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._unset_keepalive_if_required()
        self._unset_deadline()

    def data_received(self, data: bytes) -> None:
        """Parses what came, unless the connection is deaf."""
        if self._is_deaf:
            self._drop()
            return
        if not (self._is_in_body and self.cycle.response_complete):  # else nobody reads it any more
            self._unset_keepalive_if_required()
        self._parse(self._left + data if self._left else data)

    def _parse(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self._is_deaf and not self.pipeline:
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
                    self._refuse(fault_in(error))
            self._hand_pieces()
            if self._arrived > self._rules.header_bytes and not self._is_deaf:
                self._refuse(TooLarge(f"headers, chunk extensions: {self._rules.header_bytes} bytes at most"))
        self._left = b"" if self._is_deaf else data[at:]
        self._watch_body(len(data))
        is_begun = self._is_in_head or (self._arrived and not self._is_in_body)
        if is_begun and self._deadline is None and not self._is_deaf:
            self._deadline = self.loop.call_later(self._rules.header_seconds, self._expire)

    def on_message_begin(self) -> None:
        """A request begins, unless the one before was the last."""
        if self._is_deaf:
            raise BadRequest("nothing is read behind the last request")
        self._unset_keepalive_if_required()
        self._is_in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the URL."""
        self.url += url
        if len(self.url) > self._rules.url_bytes:
            raise UrlTooLong(f"URL: {self._rules.url_bytes} bytes at most")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if self._is_in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Begins the answer, or refuses it; in uvicorn's stead, since each hit comes this way."""
        limit = self._rules.header_bytes
        if self._arrived > limit and size_of(self.headers) > limit:  # else a body came with it
            raise TooLarge(f"headers: {limit} bytes at most")
        version, method = self.parser.get_http_version(), self.parser.get_method()
        fields = joined(self.headers, b", ".join)
        check_head(version, method, self.url, fields)
        self._check_length(int(fields.get(b"content-length", b"0")))
        self._rules.admit(method, fields)
        is_old, expects = version == "1.0", fields.get(b"expect", b"").lower() == b"100-continue"
        scope = self.scope
        scope["method"], scope["http_version"] = method.decode("ascii"), version
        scope["raw_path"], scope["query_string"] = split_target(self.url)
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))
        super().on_headers_complete()
        earlier = self.cycle
        app: Any = until_closed(self) if is_old else self.app
        self.cycle = self.cycle_type(
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
        self._is_in_head, self._is_in_body, self._arrived, self._taken = False, True, 0, 0
        self._unset_deadline()
        if self._rules.body_seconds is not None:
            self._deadline = self.loop.call_later(self._rules.body_seconds, self._expire)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._arrived = max(0, self._arrived - len(body))
        self._pieces.append(body)
        self._taken += len(body)
        self._check_length(self._taken)

    def _check_length(self, size: int) -> None:
        if self._rules.body_bytes is not None and size > self._rules.body_bytes:
            raise BodyTooLong(f"body: {self._rules.body_bytes} bytes at most")

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._arrived = max(0, self._arrived - A_CHUNK)

    def on_message_complete(self) -> None:
        """The request is whole, unless it carries Upgrade: then its head is."""
        if self.parser.should_upgrade():
            return
        self._hand_pieces()
        self._is_in_body, self._arrived = False, 0
        self._unset_deadline()
        cycle = self.cycle
        cycle.more_body = False
        cycle.message_event.set()
        self._is_deaf = not cycle.keep_alive

    def on_response_complete(self) -> None:
        """An answer has ended: the next one begins, or the viewer hears of a fault."""
        self._forget_head()
        if self._fault is not None and not self.pipeline:
            self._answer_refusal(self._fault)
        else:
            super().on_response_complete()
            if not self.transport.is_closing():
                self._parse(self._left)

    def _forget_head(self) -> None:
        """The head of an answered request goes, so that an idle connection holds no token."""
        if self._answering is not None:
            self._answering.scope["headers"] = []
        if self._answering is self.cycle and not self._is_in_head:
            self.headers = []

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401  # ASGI
        self._answering = cycle
        self._pace.begin(self.loop.time())
        start = super()._start_asgi_task
        self._place.begin(lambda: start(cycle, app))

    def _hand_pieces(self) -> None:
        """Hands on what came of a body, in one piece: a viewer may send it byte by byte."""
        if self._pieces:
            body, self._pieces = b"".join(self._pieces), []
            super().on_body(body)

    def _watch_body(self, size: int) -> None:
        """Ends the connection if a body, of which `size` bytes came now, is late with the next ones."""
        if self._is_in_body and not (self._is_deaf or self.pipeline or self.cycle.response_complete):
            self._unset_keepalive_if_required()
            left = self._pace.left_after(size, self.loop.time())
            self.timeout_keep_alive_task = self.loop.call_later(left, self._miss_body)

    def _miss_body(self) -> None:
        if self.flow.read_paused:  # it is not taken, which is not the viewer's fault
            self._pace.begin(self.loop.time())
            self._watch_body(0)
        else:
            self._refuse(self._pace.fault)

    def _read_body_apart(self) -> None:
        """Has a parser of its own read the body of a request with Upgrade; framed as the request said."""
        self.parser = parser_of_body(self.headers, self)

    def _expire(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # for an earlier answer's sake, which is not the viewer's fault
            self._deadline = self.loop.call_later(self._rules.header_seconds, self._expire)
        elif not self._is_deaf:
            name, within = "headers", self._rules.header_seconds
            if self._is_in_body and self._rules.body_seconds is not None:
                name, within = "body", self._rules.body_seconds
            self._refuse(TooSlow(f"{name}: complete within {within:g} s"))

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, error: ProxyError) -> None:
        """Hears nothing any more, and tells why as soon as earlier requests are answered."""
        self._is_deaf, self._fault = True, error.anew()
        self._unset_deadline()
        self._rules.count(type(error).__name__)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._answer_refusal(error)
        elif not self._is_in_body:
            pass  # the answers under way come first
        elif self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()  # its own body is broken, and nobody has read of it
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._answer_refusal(error)

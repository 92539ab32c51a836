"""A span for each request of a viewer, with the attributes of OpenTelemetry's conventions for HTTP servers.

The request goes on with the span's context in place of the viewer's own, so all that it causes belongs to the
span. Only traces need this: without them the app is not wrapped.
"""

from collections.abc import Collection, MutableMapping
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.telemetry.traces import CONTEXT, Facts, Span, Traces, context_in
from proxy.viewers.delivery import REPEAT
from proxy.wire.request import read_headers
from proxy.wire.route import route_of
from proxy.wire.trace import trace_of

FIRST_BYTES = "first bytes"
"""The event of the first bytes of a body."""
CUT = "cut"
"""The event of a response that ended before its last byte, since the viewer left or a fetch failed."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"})
_CONTEXT = frozenset(name.encode() for name in CONTEXT)


class Traced:
    """An application with a span for each request."""

    def __init__(
        self, app: ASGIApp, traces: Traces, origins: Collection[str], forms: Collection[str]
    ) -> None:
        """`origins` are the names of all; `forms` are path segments that may stand for `frames`."""
        self._app = app
        self._traces = traces
        self._origins = origins
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = context_in(trace_of(read_headers(scope["headers"])))
        name, facts = self._step(scope)
        span = self._traces.span("server", name, context, facts, is_remote=True)
        kept = [pair for pair in scope["headers"] if pair[0].lower() not in _CONTEXT]
        carried = [(name.encode(), value.encode()) for name, value in span.headers]
        answer = _Answer(span, send, None if context else (name, facts))
        error = ""
        try:
            await self._app({**scope, "headers": [*kept, *carried]}, receive, answer.send)
        except BaseException as fault:
            error = type(fault).__name__
            raise
        finally:
            answer.end(error)

    def _step(self, scope: Scope) -> tuple[str, Facts]:
        """The name and the attributes of a request."""
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        path = scope["raw_path"].decode("latin-1").lstrip("/")
        first, slash, rest = path.partition("/")
        is_named = first in self._origins
        route = route_of(rest if is_named else path, self._forms)
        route = f"/{first}{slash}{route}" if is_named else f"/{route}"
        facts: dict[str, str | int | float | list[str]] = {
            "http.request.method": method,
            "http.route": route,
            "url.scheme": scope["scheme"],
            "url.path": f"/{path}" if self._traces.with_uids else route,
            "network.protocol.version": scope["http_version"],
        }
        if (server := scope.get("server")) is not None:
            facts |= {"server.address": server[0], "server.port": server[1] or 0}
        return f"{'HTTP' if method == '_OTHER' else method} {route}", facts


class _Answer:
    """The answer to one request, as it is sent."""

    def __init__(self, span: Span, send: Send, step: tuple[str, Facts] | None) -> None:
        """`step` is for spans of requests that repeat this one; None if the app has to see each of them."""
        self._span = span
        self._send = send
        self._step = step
        self._status = self._size = 0
        self._is_whole = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Sends one message. If a viewer began the trace, the answer to its request is not kept."""
        if (repeat := message.pop(REPEAT, None)) is not None and self._step is not None:
            message[REPEAT] = replace(repeat, step=self._step)
        await self._send(message)
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if body and not self._size:
                self._span.event(FIRST_BYTES)
            self._size += len(body)
            self._is_whole = not message.get("more_body", False)

    def _begin(self, status: int, headers: Collection[tuple[bytes, bytes]]) -> None:
        self._status = status
        self._span.note({"http.response.status_code": status})
        for name, value in headers:
            if name == b"cache-status":
                self._span.note({"http.response.header.cache-status": [value.decode("latin-1")]})

    def end(self, error: str) -> None:
        """The answer has ended."""
        self._span.note({"http.response.body.size": self._size})
        if self._status and not self._is_whole:
            self._span.event(CUT)
        self._span.end(error or (str(self._status) if self._status >= 500 else ""))

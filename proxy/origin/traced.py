"""A span for each request to an origin, with the attributes of OpenTelemetry's conventions for HTTP clients.

The span begins with the request and ends with the body. Its parent is the trace context in the request's
headers, and the origin gets the span's own context instead. Only traces need this: without them the transport
is not wrapped.
"""

from collections.abc import AsyncIterator, Awaitable, Collection
from urllib.parse import urlsplit

import httpx

from proxy.frame.supply import Headers
from proxy.origin.transport import Transport
from proxy.telemetry.traces import CONTEXT, Span, Traces, context_in
from proxy.wire.route import route_of

_PORTS = {"http": 80, "https": 443}


class TracedTransport(httpx.AsyncBaseTransport):
    """A transport with a span for each request."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, traces: Traces, base_url: str, forms: Collection[str]
    ) -> None:
        """`base_url` is the origin's; `forms` are path segments that may stand for `frames`."""
        self._transport = transport
        self._traces = traces
        base = urlsplit(base_url)
        self._base = base.path.rstrip("/") + "/"
        self._forms = forms

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns the response as soon as its headers are in. Raises the errors of httpx."""
        span = self._begun(request.method, str(request.url), request.headers.multi_items())
        for name in CONTEXT:
            request.headers.pop(name, None)
        request.headers.update(span.headers)
        return await _within(span, self._transport.handle_async_request(request))

    async def get(self, url: str, headers: Headers) -> httpx.Response:
        """The same for a GET."""
        if not isinstance(self._transport, Transport):
            encoded = [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers]
            return await self.handle_async_request(httpx.Request("GET", url, headers=encoded))
        span = self._begun("GET", url, headers)
        others = [pair for pair in headers if pair[0] not in CONTEXT]
        return await _within(span, self._transport.get(url, [*others, *span.headers]))

    def _begun(self, method: str, url: str, headers: Headers) -> Span:
        parts = urlsplit(url)
        is_below = parts.path.startswith(self._base)
        below = parts.path.removeprefix(self._base) if is_below else parts.path
        route = (self._base if is_below else "/") + route_of(below, self._forms)
        path = parts.path if self._traces.with_uids else route
        facts: dict[str, str | int | float | list[str]] = {
            "http.request.method": method,
            "server.address": parts.hostname or "",
            "server.port": parts.port or _PORTS.get(parts.scheme, 0),
            "url.full": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
            "url.template": route,
        }
        return self._traces.span("client", f"{method} {route}", context_in(headers), facts)

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._transport.aclose()


class _Body(httpx.AsyncByteStream):
    """A body whose end ends the span."""

    def __init__(self, body: httpx.AsyncByteStream, span: Span, error: str) -> None:
        self._body = body
        self._span: Span | None = span
        self._error = error
        self._size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body:
                self._size += len(chunk)
                yield chunk
        except Exception as error:
            self._error = type(error).__name__
            raise

    async def aclose(self) -> None:
        """Ends the response, read or not."""
        span, self._span = self._span, None
        try:
            await self._body.aclose()
        finally:
            if span is not None:
                span.note({"http.response.body.size": self._size})
                span.end(self._error)


async def _within(span: Span, answered: Awaitable[httpx.Response]) -> httpx.Response:
    try:
        response = await answered
    except BaseException as error:
        span.end(type(error).__name__)
        raise
    status = response.status_code
    version = response.http_version.removeprefix("HTTP/")
    span.note({"http.response.status_code": status, "network.protocol.version": version})
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Body(response.stream, span, str(status) if status >= 400 else "")
    return response

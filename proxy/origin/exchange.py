"""Requests to one origin, and the heads of its answers; errors of the transport become the house's own here.

Requests go straight to the transport, a plain GET even without a request of httpx. `httpx.AsyncClient` would
follow no redirect here and keep no cookie, and its layers took a tenth of the processor time of a frame.

The transport itself reads past interim answers (RFC 9110 15.2), and refuses two lengths that differ, a length
that is no number, and a status that has not three digits. Other
responses that break HTTP are refused here.
"""

import re
from collections.abc import Awaitable
from contextlib import aclosing, suppress

import httpx

from proxy.errors import OriginFailed, OriginRefused, OriginTimeout, OriginUnreachable, ProxyError
from proxy.frame.supply import Headers
from proxy.origin.faults import CertificateRefused
from proxy.origin.traced import TracedTransport
from proxy.origin.transport import Transport
from proxy.wire.via import CARRIED, Via

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that send a GET elsewhere (RFC 9110 15.4)."""
MOST_HOPS = 5
"""Redirects that are followed for one request."""
_PORTS = {"http": 80, "https": 443}
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class Exchange:
    """One pool of connections to one origin."""

    def __init__(self, transport: httpx.AsyncBaseTransport, auth: httpx.Auth | None, via: Via) -> None:
        self._transport = transport
        self._auth = auth
        self._via = via
        self.has_own_proof = auth is not None
        """True if the proxy has credentials of its own there."""

    async def get(self, url: str, headers: Headers) -> httpx.Response:
        """A GET that follows redirects on the same host; its response is a stream that the caller closes.

        Raises `OriginError`; a redirect to another host, which may not see these headers, is `OriginRefused`.
        """
        signed = self._signed(headers)
        for _ in range(MOST_HOPS + 1):
            response = await self._checked(self._got(url, signed))
            if not response.has_redirect_location:
                return response
            await response.aclose()
            here, location = httpx.URL(url), response.headers["location"]
            target = _target(here, location)
            if not _is_same_host(here, target):
                raise OriginRefused(response.status_code, location=str(target))
            url = str(target)
        raise OriginFailed(f"the origin redirected more than {MOST_HOPS} times")

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Any request; its answer is a stream that the caller closes. Raises `OriginError`, `Loop`."""
        request.headers["via"] = self._via.after(request.headers.get("via"))
        request.headers["cdn-loop"] = self._via.once_more(request.headers.get("cdn-loop"))
        response = await self._checked(self._answered(request))
        if response.has_redirect_location:
            try:
                _check_location(request.url, response.headers["location"])
            except OriginFailed:
                await response.aclose()
                raise
        return response

    def _signed(self, headers: Headers) -> list[tuple[str, str]]:
        """The headers of a request, with this proxy among those that it passed."""
        via, loop = (", ".join(value for name, value in headers if name == each) for each in CARRIED)
        others = [pair for pair in headers if pair[0] not in CARRIED]
        return [*others, ("via", self._via.after(via)), ("cdn-loop", self._via.once_more(loop))]

    async def _checked(self, answered: Awaitable[httpx.Response]) -> httpx.Response:
        try:
            response = await answered
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin did not answer in time") from error
        except CertificateRefused as error:
            raise OriginUnreachable(
                "the proxy does not trust the origin's certificate, or the origin not the proxy's"
            ) from error
        except httpx.ProxyError as error:
            raise OriginUnreachable(f"no connection to the origin: {error}") from error
        except httpx.ConnectError as error:
            raise OriginUnreachable("no connection to the origin") from error
        except httpx.TransportError as error:
            raise OriginFailed("the origin gave no usable answer", is_outage=True) from error
        try:
            self._via.check(response.headers.get("via", ""))
            _join_lengths(response.headers)
            if fault := _fault(response):
                raise OriginFailed(fault)
        except ProxyError:
            await response.aclose()
            raise
        return response

    async def _got(self, url: str, headers: Headers) -> httpx.Response:
        if self._auth is None and isinstance(self._transport, Transport | TracedTransport):
            return await self._transport.get(url, headers)
        return await self._answered(httpx.Request("GET", url, headers=encoded(headers)))

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        """Sends a request, with the proxy's own credentials if it has any, which may send it again."""
        if self._auth is None:
            return await self._transport.handle_async_request(request)
        flow = self._auth.async_auth_flow(request)
        async with aclosing(flow):
            request = await anext(flow)
            while True:
                response = await self._transport.handle_async_request(request)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await response.aclose()

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._transport.aclose()


def encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as they go over the wire; cookies may be UTF-8."""
    return [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers]


def _join_lengths(headers: httpx.Headers) -> None:
    """Joins lengths that are repeated and equal, so that nobody reads two (RFC 9112 6.3)."""
    said = headers.get("content-length", "")
    if "," in said and len(lengths := {length.strip() for length in said.split(",")}) == 1:
        headers["content-length"] = lengths.pop()


def _fault(response: httpx.Response) -> str:
    """Why an answer can't be handed on, whatever it is to; empty if it can."""
    if response.status_code == 407:  # it is for us, never for a viewer (RFC 9110 15.5.8)
        return "an HTTP proxy on the way to the origin wants a login, or another one"
    if not 200 <= response.status_code <= 599:  # RFC 9110 15; nobody asked for another protocol (15.2.2)
        return f"the origin answered {response.status_code}"
    coding, length = (response.headers.get(name) for name in ("transfer-encoding", "content-length"))
    if coding is not None and length is not None:  # RFC 9112 6.3
        return "the origin's answer has both Content-Length and Transfer-Encoding"
    if coding is not None and coding.strip().lower() != "chunked":  # it was not asked for (RFC 9110 10.1.4)
        return "the origin's answer has a Transfer-Encoding that is not chunked"
    if length is not None and not _LENGTH.fullmatch(length):  # RFC 9110 8.6
        return "the origin's answer has a Content-Length that is not one number"
    return ""


def _check_location(url: httpx.URL, location: str) -> None:
    """Raises `OriginFailed` if a Location is no URL; one that is goes to the viewer, wherever it leads."""
    with suppress(httpx.InvalidURL):
        if url.join(location).host:
            return
    raise OriginFailed("the origin redirected to what is no URL of the web")


def _target(url: httpx.URL, location: str) -> httpx.URL:
    with suppress(httpx.InvalidURL):
        target = url.join(location)
        if target.scheme in _PORTS:
            return target
    raise OriginFailed("the origin redirected to what is no URL of the web")


def _is_same_host(url: httpx.URL, target: httpx.URL) -> bool:
    """True if a request to one URL may be sent to another one: the same server, or its TLS port instead."""
    if target.userinfo or target.host != url.host:
        return False
    is_upgrade = (_address(url), _address(target)) == (("http", 80), ("https", 443))
    return is_upgrade or _address(url) == _address(target)


def _address(url: httpx.URL) -> tuple[str, int]:
    return url.scheme, url.port or _PORTS[url.scheme]

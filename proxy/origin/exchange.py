"""Requests to one origin, and the heads of its responses. Errors of the transport become the proxy's errors.

The transport itself skips interim responses (RFC 9110 15.2). It refuses two lengths that differ, a length
that is not a number, and a status that does not have three digits. This module refuses other responses that
break HTTP.
"""

from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy

import httpx

from proxy.errors import OriginFailed, OriginRefused, OriginTimeout, OriginUnreachable, ProxyError
from proxy.frame.supply import Headers
from proxy.origin.faults import CertificateRefused
from proxy.wire.via import Via

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that redirect a GET (RFC 9110 15.4)."""
MOST_HOPS = 5
"""Redirects that are followed for one request."""
_PORTS = {"http": 80, "https": 443}


class Exchange:
    """One pool of connections to one origin."""

    def __init__(self, transport: httpx.AsyncBaseTransport, auth: httpx.Auth | None, via: Via) -> None:
        self._via = via
        # The transport has the time limits. A limit on the whole request would cut long responses.
        client = httpx.AsyncClient(transport=transport, auth=auth, timeout=None, trust_env=False)  # noqa: S113
        # Otherwise httpx would store every cookie that the origin sets, but cookies belong to the viewers.
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._client = client

    async def get(self, url: str, headers: Headers) -> httpx.Response:
        """Sends a GET, and follows redirects to the same host. The caller closes the response, a stream.

        Raises `OriginError`. A redirect to another host raises `OriginRefused`, because that host may not see
        these headers.
        """
        request = httpx.Request("GET", url, headers=encoded(headers))
        for _ in range(MOST_HOPS + 1):
            response = await self.send(request)
            if response.status_code not in REDIRECTS or "location" not in response.headers:
                return response
            await response.aclose()
            target = _target(request.url, response.headers["location"])
            if not _is_same_host(request.url, target):
                raise OriginRefused(response.status_code, location=str(target))
            request = httpx.Request("GET", target, headers=encoded(headers))
        raise OriginFailed(f"the origin redirected more than {MOST_HOPS} times")

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Sends a request. The caller closes the response, a stream. Raises `OriginError`, `Loop`."""
        request.headers["via"] = self._via.after(request.headers.get("via"))
        try:
            response = await self._client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin did not answer in time") from error
        except CertificateRefused as error:
            raise OriginUnreachable("the origin's certificate can't be trusted, or ours was not") from error
        except httpx.ConnectError as error:
            raise OriginUnreachable("no connection to the origin") from error
        except httpx.TransportError as error:
            raise OriginFailed("the origin gave no usable answer") from error
        try:
            self._via.check(response.headers.get("via", ""))
            if fault := _fault(response):
                raise OriginFailed(fault)
        except ProxyError:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()


def encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as they go over the wire; cookies may be UTF-8."""
    return [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers]


def _fault(response: httpx.Response) -> str:
    """Why a response breaks HTTP, so that no viewer may get it; empty if it does not."""
    if not 200 <= response.status_code <= 599:  # RFC 9110 15; no request asked for another protocol (15.2.2)
        return f"the origin answered {response.status_code}"
    if "transfer-encoding" in response.headers and "content-length" in response.headers:  # RFC 9112 6.3
        return "the origin's answer has both Content-Length and Transfer-Encoding"
    return ""


def _target(url: httpx.URL, location: str) -> httpx.URL:
    with suppress(httpx.InvalidURL):
        target = url.join(location)
        if target.scheme in _PORTS:
            return target
    raise OriginFailed("the origin redirected to what is no URL of the web")


def _is_same_host(url: httpx.URL, target: httpx.URL) -> bool:
    """True if two URLs lead to the same server, or the second one to its TLS port."""
    if target.userinfo or target.host != url.host:
        return False
    is_upgrade = (_address(url), _address(target)) == (("http", 80), ("https", 443))
    return is_upgrade or _address(url) == _address(target)


def _address(url: httpx.URL) -> tuple[str, int]:
    return url.scheme, url.port or _PORTS[url.scheme]

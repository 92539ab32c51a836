"""Admission of requests by their Host, by the page that sends them, and by their Via. Pure.

A page on the Internet can make its reader's browser send requests to a proxy on that machine or network. With
DNS rebinding, the page's own name leads to the proxy, and `Host` has that name. Loopback names and IP
addresses can't be rebound, so they are let in. Kubernetes sends its probes to the pod's address. A page may
post a form to any site without permission. `Sec-Fetch-Site` and `Origin` then show the site of the page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from proxy.errors import CrossSite, WrongHost
from proxy.wire.via import Via

ANY = "*"
"""Matches every name, or every page."""
LOOPBACK = "localhost"
UPSTREAM = "progressive_proxy"
"""Host that nginx sends, if configured as in the documentation; no one can register that name."""

_SAFE = (b"GET", b"HEAD", b"OPTIONS")  # RFC 9110 9.2.1


@lru_cache(maxsize=256)
def name_of(authority: bytes) -> str:
    """The name in an authority, without its port; `localhost` for an address or a name of loopback.

    >>> name_of(b"Viewer.example:8080"), name_of(b"[::1]:80"), name_of(b"a.localhost")
    ('viewer.example', 'localhost', 'localhost')
    """
    text = authority.decode("latin-1").lower()
    host, colon, port = text.rpartition(":")
    name = (host if colon and (port.isdigit() or not port) else text).removesuffix(".")
    if name.endswith(f".{LOOPBACK}"):
        return LOOPBACK
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name
    return LOOPBACK


@dataclass(frozen=True, slots=True)
class Admission:
    """Admits requests by their method and headers."""

    via: Via
    """Recognizes a request that has passed the proxy before."""
    own: frozenset[str]
    """Names that are accepted without configuration."""
    hosts: frozenset[str]
    """Names by which viewers and their pages reach the proxy, in lower case."""
    pages: frozenset[str]
    """Origins whose pages may send unsafe requests."""
    is_guarded: bool
    """True if Host and pages are checked."""

    def admit(self, method: bytes, fields: Mapping[bytes, bytes]) -> None:
        """Checks a request. Raises `Loop`, `WrongHost` or `CrossSite`."""
        if b"via" in fields:
            self.via.check(fields[b"via"].decode("latin-1"))
        if not self.is_guarded:
            return
        host = fields.get(b"host")  # HTTP/1.0 may have none, but no browser uses it
        if host is not None and not self._is_ours(name_of(host)):
            raise WrongHost(
                "Host: neither loopback, nor an address, nor a name in `listen.hosts`; add it there"
            )
        if method not in _SAFE and not self._is_let_in(fields):
            raise CrossSite(
                "a page of another site sent this; add it to `cors.origins`, or its host to `listen.hosts`"
            )

    def _is_ours(self, name: str) -> bool:
        return name in self.own or name in self.hosts

    def _is_let_in(self, fields: Mapping[bytes, bytes]) -> bool:
        """True if no page sends the request, or a page that may send unsafe requests."""
        site, origin = fields.get(b"sec-fetch-site"), fields.get(b"origin")
        if site in (b"same-origin", b"none") or (site is None and origin is None):
            return True
        page = (origin or b"null").decode("latin-1")
        authority = page.partition("://")[2].encode("latin-1")
        # Over plain HTTP a browser sends no Sec-Fetch-Site. A page can't set X-Forwarded-Host without
        # permission.
        same = (fields.get(b"host"), fields.get(b"x-forwarded-host"))
        if site is None and authority and authority in same:
            return True
        return page in self.pages or ANY in self.pages or name_of(authority) in self.hosts


def admission_of(
    via: Via, listened: Iterable[str], hosts: Iterable[str], pages: Iterable[str], *, has_own_proof: bool
) -> Admission:
    """The admission to a proxy that listens on these names or addresses.

    Host and pages are checked if `hosts` has names, or if a stranger's page could do harm. It could if the
    proxy listens on loopback, because such a proxy relies on being unreachable from elsewhere. It also could
    if the proxy `has_own_proof`, because the proxy then reads for every caller with its own credentials.
    """
    listened = tuple(listened)
    names = frozenset(each.lower() for each in listened)
    known = frozenset(host.lower() for host in hosts)
    is_guarded = ANY not in known and (bool(known) or has_own_proof or any(map(_is_loopback, listened)))
    return Admission(via, names | {LOOPBACK, UPSTREAM}, known, frozenset(pages), is_guarded)


def leads_to(url: str, host: str, port: int) -> bool:
    """True if a URL surely leads to the listener at this host and port. Names are not looked up.

    >>> leads_to("http://localhost:8080/x", "0.0.0.0", 8080), leads_to("http://pacs:8080", "0.0.0.0", 8080)
    (True, False)
    """
    parts = urlsplit(url)
    if (parts.port or {"https": 443}.get(parts.scheme, 80)) != port:
        return False
    named, at = _addresses(parts.hostname or ""), _addresses(host)
    return bool(named & at) or (host in ("0.0.0.0", "::") and any(map(_is_loopback, named)))  # noqa: S104


def _addresses(host: str) -> set[str]:
    is_near = name_of(host.encode()) == LOOPBACK and not host[:1].isdigit() and ":" not in host
    return {"127.0.0.1", "::1"} if is_near else {host.lower()}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return name_of(host.encode()) == LOOPBACK

"""Which requests are let in: by their Host, by the page that sends them, and by their way here. Pure.

A page on the Internet can have its reader's browser send requests to a proxy on that machine or network.
DNS rebinding makes the page's own name lead to the proxy; `Host` then says that name. Loopback names and IP
addresses can't be rebound, so they are let in; Kubernetes sends its probes by the pod's address. A form may
be posted to any site without leave; `Sec-Fetch-Site` and `Origin` then tell whose page it is on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from proxy.errors import CrossSite, WrongHost
from proxy.wire.via import CARRIED, Via

ANY = "*"
"""Lets in every name, or every page."""
LOOPBACK = "localhost"
UPSTREAM = "progressive_proxy"
"""The name that nginx uses for the proxy as documented; no stranger can own it."""

_CARRIED = tuple(name.encode("ascii") for name in CARRIED)
_SAFE = (b"GET", b"HEAD", b"OPTIONS")  # RFC 9110 9.2.1


@lru_cache(maxsize=256)
def name_of(authority: bytes) -> str:
    """The name in an authority, without its port; that of loopback for what leads to one place only.

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
    """Tells a request that has been here."""
    own: frozenset[str]
    """Names that need not be configured."""
    hosts: frozenset[str]
    """Names by which viewers and their pages reach the proxy, in lower case."""
    pages: frozenset[str]
    """Origins whose pages may change something here."""
    is_guarded: bool
    """True if Host and pages are looked at."""

    def admit(self, method: bytes, fields: Mapping[bytes, bytes]) -> None:
        """Raises `Loop`, `WrongHost`, `CrossSite`."""
        for name in _CARRIED:
            if name in fields:
                self.via.check(fields[name].decode("latin-1"))
        if not self.is_guarded:
            return
        host = fields.get(b"host")  # HTTP/1.0 may have none, and no browser speaks that
        if host is not None and not self._is_ours(name_of(host)):
            raise WrongHost(
                "Host: neither loopback nor an address, nor a name that `listen.hosts` has; add it there"
            )
        if method not in _SAFE and not self._is_let_in(fields):
            raise CrossSite(
                "a page of another site: let it in by `cors.origins`, or by its host in `listen.hosts`"
            )

    def _is_ours(self, name: str) -> bool:
        return name in self.own or name in self.hosts

    def _is_let_in(self, fields: Mapping[bytes, bytes]) -> bool:
        """True if no page asks, or one that may change something."""
        site, origin = fields.get(b"sec-fetch-site"), fields.get(b"origin")
        if site in (b"same-origin", b"none") or (site is None and origin is None):
            return True
        page = (origin or b"null").decode("latin-1")
        authority = page.partition("://")[2].encode("latin-1")
        # Over plain HTTP a browser tells no site. Without leave a page can't set X-Forwarded-Host.
        same = (fields.get(b"host"), fields.get(b"x-forwarded-host"))
        if site is None and authority and authority in same:
            return True
        return page in self.pages or ANY in self.pages or name_of(authority) in self.hosts


def admission_of(
    via: Via, listened: Iterable[str], hosts: Iterable[str], pages: Iterable[str], *, has_own_proof: bool
) -> Admission:
    """The admission to a proxy that listens on these names or addresses.

    Host and pages are looked at if strangers could do harm, and if somebody named hosts: a proxy on loopback
    counts on nobody else to get there, and one with credentials of its own reads for whoever gets there.
    """
    listened = tuple(listened)
    names = frozenset(each.lower() for each in listened)
    known = frozenset(host.lower() for host in hosts)
    is_guarded = ANY not in known and (bool(known) or has_own_proof or any(map(is_loopback, listened)))
    return Admission(via, names | {LOOPBACK, UPSTREAM}, known, frozenset(pages), is_guarded)


def leads_to(url: str, host: str, port: int) -> bool:
    """True if a URL surely leads to the listener at this host and port; names are not looked up.

    >>> leads_to("http://localhost:8080/x", "0.0.0.0", 8080), leads_to("http://pacs:8080", "0.0.0.0", 8080)
    (True, False)
    """
    parts = urlsplit(url)
    if (parts.port or {"https": 443}.get(parts.scheme, 80)) != port:
        return False
    named, at = _addresses(parts.hostname or ""), _addresses(host)
    return bool(named & at) or (host in ("0.0.0.0", "::") and any(map(is_loopback, named)))  # noqa: S104


def _addresses(host: str) -> set[str]:
    is_near = name_of(host.encode()) == LOOPBACK and not host[:1].isdigit() and ":" not in host
    return {"127.0.0.1", "::1"} if is_near else {host.lower()}


def is_loopback(host: str) -> bool:
    """True if a host is surely this machine; names are not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return name_of(host.encode()) == LOOPBACK

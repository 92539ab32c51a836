"""The URL at which viewers reach an origin through the proxy, and how the origin is told of it. Pure.

A setting says it, else the request: a server in front of the proxy says in `Forwarded` (RFC 7239) or in
X-Forwarded-Host, -Proto and -Prefix what the viewer asked for, and otherwise it is the request's own Host. So
a viewer can have its own response name any host. The proxy caches no rewritten text, and `Vary` names what it
depends on.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from proxy.wire.head import is_host
from proxy.wire.media import split_at
from proxy.wire.naming import SyntaxNaming
from proxy.wire.rewriting import InSteps, JsonBases, JsonRewriting, Rewriting

Forwarded = Literal["x-forwarded", "rfc7239"]
"""How an origin is told."""

TELLING = ("forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix")
"""Headers of a request that say where the viewer sent it."""
_OVERRIDDEN = frozenset({*TELLING, "x-forwarded-port"})
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """Where a viewer reaches an origin."""

    scheme: str
    """`http` or `https`."""
    host: str
    """Host, with a port unless it is the scheme's own."""
    path: str
    """Path without a slash at its end; empty for the root."""

    def __str__(self) -> str:
        """The URL, without a slash at its end."""
        return f"{self.scheme}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Publishing:
    """How one origin's URLs are published."""

    origin: str = ""
    """Base URL of the origin."""
    configured: str | None = None
    """Base URL of the proxy for its viewers; None if each request tells."""
    forwarded: Forwarded | None = None
    """How the origin is told where viewers are; None if it is not."""
    rewrites: bool = False
    """True if the origin's base URL is replaced in its JSON."""
    names_htj2k: bool = False
    """True if its JSON names HTJ2K as the transfer syntax of images that the proxy converts."""
    codings: Sequence[str] = ()
    """Content codings in which viewers may get JSON that is changed, the best one first."""

    @property
    def is_on(self) -> bool:
        """True if requests or responses are changed."""
        return self.changes_json or self.forwarded is not None

    @property
    def changes_json(self) -> bool:
        """True if viewers get JSON in other bytes than the origin sends."""
        return self.rewrites or self.names_htj2k

    def url(self, scheme: str, fields: Mapping[str, str], prefix: str) -> PublicUrl | None:
        """Where the viewer that sent a request reaches the origin. None if the request does not tell.

        `scheme` is that of its connection. `prefix` is the origin's name if the path begins with it.

        >>> Publishing().url("http", {"host": "a", "x-forwarded-proto": "https"}, "pacs")
        PublicUrl(scheme='https', host='a', path='/pacs')
        """
        if self.configured is not None:
            told = urlsplit(self.configured)
            scheme, host, path = told.scheme, told.netloc, told.path
        else:
            scheme, host, path = _told(fields, scheme)
        path = path.rstrip("/") + (f"/{prefix}" if prefix else "")
        return PublicUrl(scheme, host.removesuffix(_PORTS[scheme]), path) if host else None

    def headers(self, public: PublicUrl, pairs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers of a request for the origin, with the public URL in place of what they say of it."""
        if self.forwarded is None:
            return list(pairs)
        told = _forwarded if self.forwarded == "rfc7239" else _x_forwarded
        return [*(pair for pair in pairs if pair[0] not in _OVERRIDDEN), *told(public)]

    def rewriting(self, public: PublicUrl) -> Rewriting:
        """The rewriting of one JSON text."""
        steps: list[Rewriting] = []
        if self.rewrites:
            steps.append(JsonRewriting(JsonBases([*self._bases(public)], str(public))))
        if self.names_htj2k:
            steps.append(SyntaxNaming())
        return InSteps(steps)

    def moved(self, public: PublicUrl, url: str) -> str:
        """An absolute URL, moved if it is one of the origin's."""
        for base in sorted(self._bases(public), key=len, reverse=True):
            if url.startswith(base) and url[len(base) :][:1] in ("", "/", "?", "#"):
                return f"{public}{url[len(base) :]}"
        return url

    def _bases(self, public: PublicUrl) -> Iterator[str]:
        told = urlsplit(self.origin)
        host, path = told.netloc.removesuffix(_PORTS[told.scheme]), told.path.rstrip("/")
        yield f"{told.scheme}://{host}{path}"
        if ":" not in host.rpartition("]")[2]:
            yield f"{told.scheme}://{host}{_PORTS[told.scheme]}{path}"
        if self.forwarded is not None:  # it may put its own path behind the public host
            yield str(public)
            yield f"{public.scheme}://{public.host}{path}"


def _told(fields: Mapping[str, str], scheme: str) -> tuple[str, str, str]:
    """Scheme, host and path that a request tells; the host is empty if it does not tell."""
    first = _first_of(fields.get("forwarded", ""))
    host = first.get("host") or _first(fields, "x-forwarded-host")
    said = (first.get("proto") or _first(fields, "x-forwarded-proto")).lower()
    path = _first(fields, "x-forwarded-prefix")
    host = host if is_host(host) else fields.get("host", "")
    return said if said in _PORTS else scheme, host, path if _PATH.fullmatch(path) else ""


def _first(fields: Mapping[str, str], name: str) -> str:
    return fields.get(name, "").partition(",")[0].strip()


def _first_of(forwarded: str) -> dict[str, str]:
    """The parameters of the first element, which is about the viewer (RFC 7239 4).

    >>> _first_of('for=_a;Host="a:8080";proto=https, host=b')
    {'for': '_a', 'host': 'a:8080', 'proto': 'https'}
    """
    pairs = (pair.partition("=") for pair in split_at(split_at(forwarded, ",")[0], ";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _forwarded(public: PublicUrl) -> Iterator[tuple[str, str]]:
    host = public.host if _TOKEN.fullmatch(public.host) else f'"{public.host}"'  # RFC 7239 4
    yield "forwarded", f"host={host};proto={public.scheme}"


def _x_forwarded(public: PublicUrl) -> Iterator[tuple[str, str]]:
    yield "x-forwarded-host", public.host
    yield "x-forwarded-proto", public.scheme
    if public.path:
        yield "x-forwarded-prefix", public.path

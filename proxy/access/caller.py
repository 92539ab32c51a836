"""Callers, and the partition of the cache that each of them reads.

Only headers that are forwarded to the origin are a credential. A cookie that is not forwarded proves nothing
to the origin. A caller is known by an HMAC of the credential, with a key made at start. So the proxy stores
neither a token nor a digest that could be compared with a list of tokens.

With `ask-origin` all callers with a credential read one partition, and each of them only after the origin has
let that very credential read (`proxy.access.proofs`). With `credential` each credential has a partition of
its own. `shared` means that the origin does not tell users apart.

Callers without a credential have one partition in each case, and nobody asks for them: they are all the same
to the origin, so what it sent to one of them it sent to all (RFC 9111).
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from proxy.wire.cookies import named, sorted_by_name
from proxy.wire.trace import trace_of

CREDENTIALS = ("authorization", "cookie")
"""Headers that prove the identity of the caller."""

PROXY = b"proxy"
"""The partition for an origin that knows only the proxy, so that all viewers are one caller."""

ASKED = b"asked"
"""The partition of all callers whom the origin lets read."""

Policy = Literal["ask-origin", "credential", "shared"]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """The credentials of a viewer that are forwarded to an origin."""

    authorization: bool = True
    """True if `Authorization` is forwarded."""
    cookies: frozenset[str] | None = None
    """Names of the cookies that are forwarded; None is all cookies."""
    is_own: bool = False
    """True if the origin gets the proxy's own credentials instead, so that all viewers are one caller."""

    def credentials(self, headers: Iterable[tuple[str, str]]) -> Pairs:
        """The headers of a request that prove the caller to the origin. Names are in lower case.

        >>> Forward(cookies=frozenset({"a"})).credentials([("cookie", "a=1; b=2"), ("accept", "*/*")])
        (('cookie', 'a=1'),)
        """
        proof = tuple(pair for pair in headers if pair[0] in CREDENTIALS)
        if not proof or (self.authorization and self.cookies is None):
            return proof
        kept = ((name, self._kept(name, value)) for name, value in proof)
        return tuple((name, value) for name, value in kept if value is not None)

    def _kept(self, name: str, value: str) -> str | None:
        if name == "authorization":
            return value if self.authorization else None
        return value if self.cookies is None else named(value, self.cookies) or None


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request to an origin. `Access.admit` makes it, once for each request."""

    origin: str
    """Name of the origin."""
    credentials: Pairs
    """Headers that prove the caller to the origin; never logged, never part of a key."""
    partition: bytes
    """The part of the cache that the caller reads; empty if all callers may read it."""
    trace: Pairs = ()
    """Headers that trace the request: its trace context, and the proxies that it came through."""
    identity: bytes = b""
    """Digest of the credentials, if the origin has to let the caller read first; else empty."""
    forwarded: Pairs = ()
    """Headers that prove the caller in requests that are handed on: the credentials and maybe cookies."""


class Access:
    """Finds the caller of each request at both listeners."""

    def __init__(
        self,
        policy: Policy,
        forward: Mapping[str, Forward] = MappingProxyType({}),
        cookies: frozenset[str] | None = None,
    ) -> None:
        """`forward` has the credentials that are forwarded to each origin, by its name.

        With `ask-origin` only the named `cookies` are a credential. If it is None, all cookies are, but only
        of a request without `Authorization`.
        """
        self._policy = policy
        self._forward = forward
        self._cookies = cookies
        self._key = secrets.token_bytes(32)

    async def admit(self, origin: str, headers: Sequence[tuple[str, str]]) -> Caller:
        """The caller of a request with these headers, names in lower case, at an origin of this name."""
        forward, trace = self._forward[origin], trace_of(headers)
        if forward.is_own:
            return Caller(origin, (), PROXY, trace)
        forwarded = forward.credentials(headers)
        if self._policy != "ask-origin" or not forwarded:
            return Caller(origin, forwarded, self.partition(forwarded), trace, forwarded=forwarded)
        # A frame is asked for with exactly what the caller is known by. So a yes of the origin never depends
        # on a cookie that another caller with the same identity may lack.
        counted = self._counted(forwarded)
        identity = self._digest(counted)
        return Caller(origin, counted, ASKED if identity else b"", trace, identity, forwarded)

    def who(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """The sender of these headers by a digest, at whatever origin; empty if it shows no credential."""
        return self._digest(self._counted(tuple(pair for pair in headers if pair[0] in CREDENTIALS)))

    def partition(self, credentials: Iterable[tuple[str, str]]) -> bytes:
        """A partition for these credentials alone; empty if there are none, or if all may read."""
        return b"" if self._policy == "shared" else self._digest(credentials)

    def _counted(self, forwarded: Pairs) -> Pairs:
        """The credentials that a caller is known by, with cookies in the order of their names."""
        proof = tuple(pair for pair in forwarded if pair[0] == "authorization")
        if self._cookies is None and proof:
            return proof
        sent = (value for name, value in forwarded if name == "cookie")
        cookies = sorted_by_name(sent, self._cookies)
        return (*proof, ("cookie", cookies)) if cookies else proof

    def _digest(self, credentials: Iterable[tuple[str, str]]) -> bytes:
        proof = [f"{name}:{len(value)}:{value}" for name, value in credentials]
        if not proof:
            return b""
        return hmac.digest(self._key, "\n".join(proof).encode("utf-8", "surrogateescape"), sha256)

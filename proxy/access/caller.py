"""Callers and their partitions: a frame that was fetched with a credential is served only with that one.

Only headers that are forwarded to the origin are a credential. A cookie that is not forwarded proves nothing
to the origin. The partition of a request is an HMAC of the credential, with a key made at start. So the proxy
stores neither a token nor a digest that could be compared with a list of tokens. `access: shared` means that
the origin does not tell users apart.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

from proxy.wire.cookies import named
from proxy.wire.trace import trace_of

CREDENTIALS = ("authorization", "cookie")
"""Headers that prove the identity of the caller."""

PROXY = b"proxy"
"""The partition for an origin that knows only the proxy, so that all viewers are one caller."""

Policy = Literal["credential", "shared"]
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
    """Digest of the credentials; empty if there are none, or if all callers may read all frames."""
    trace: Pairs = ()
    """Headers that trace the request: its trace context, and the proxies that it came through."""


class Access:
    """Finds the caller of each request at both listeners."""

    def __init__(self, policy: Policy, forward: Mapping[str, Forward] = MappingProxyType({})) -> None:
        """`forward` has the credentials that are forwarded to each origin, by its name."""
        self._is_shared = policy == "shared"
        self._forward = forward
        self._key = secrets.token_bytes(32)

    async def admit(self, origin: str, headers: Sequence[tuple[str, str]]) -> Caller:
        """The caller of a request with these headers, names in lower case, at an origin of this name."""
        forward, trace = self._forward[origin], trace_of(headers)
        if forward.is_own:
            return Caller(origin, (), PROXY, trace)
        credentials = forward.credentials(headers)
        return Caller(origin, credentials, self.partition(credentials), trace)

    def partition(self, credentials: Iterable[tuple[str, str]]) -> bytes:
        """The partition of frames for these credentials; empty if there are none, or if all may read."""
        proof = [f"{name}:{len(value)}:{value}" for name, value in credentials]
        if self._is_shared or not proof:
            return b""
        return hmac.digest(self._key, "\n".join(proof).encode("utf-8", "surrogateescape"), sha256)

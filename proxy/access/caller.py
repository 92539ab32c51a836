"""Decides who may read what: what one credential fetched is found by that credential alone.

A credential is what is forwarded to the origin, and nothing else: a cookie that stays here proves nothing
there. The partition of a request is an HMAC of it under a key made at start, so neither a token nor anything
that could be tried against a list of tokens is ever stored. `access: shared` says that the origin has no
users of its own.
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
"""Headers that prove who asks."""

PROXY = b"proxy"
"""The partition of an origin that knows the proxy only: it answers one caller, as a private cache has."""

Policy = Literal["credential", "shared"]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """Which of a viewer's credentials an origin gets."""

    authorization: bool = True
    """True if it gets `Authorization`."""
    cookies: frozenset[str] | None = None
    """Names of the cookies that it gets; None is all of them."""
    is_own: bool = False
    """True if it gets credentials of the proxy's own instead, so that all viewers are one caller."""

    def credentials(self, headers: Iterable[tuple[str, str]]) -> Pairs:
        """The headers that it gets, of all of a request's, names in lower case.

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
    """The caller of an origin; made once for each request by `Access.admit`, and handed on."""

    origin: str
    """Name of the origin."""
    credentials: Pairs
    """The headers that prove to the origin who asks; never logged, never part of a key."""
    partition: bytes
    """Digest of the credentials; empty if there are none, or if everybody may read."""
    trace: Pairs = ()
    """Headers by which the request is followed: its trace, and the proxies that it came through."""


class Access:
    """Decides who asks, for every request at either listener."""

    def __init__(self, policy: Policy, forward: Mapping[str, Forward] = MappingProxyType({})) -> None:
        """`forward` says for each origin, by its name, what it gets."""
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
        """Where frames of these credentials are kept; empty if there are none, or if all may read."""
        proof = [f"{name}:{len(value)}:{value}" for name, value in credentials]
        if self._is_shared or not proof:
            return b""
        return hmac.digest(self._key, "\n".join(proof).encode("utf-8", "surrogateescape"), sha256)

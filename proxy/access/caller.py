"""Callers, and the partition of the cache that each of them reads.

Only headers that are forwarded to the origin are a credential. A cookie that is not forwarded proves nothing
to the origin. A caller is known by an HMAC of the credential, with a key made at start or read from a file.
So the proxy stores neither a token nor a digest that could be compared with a list of tokens.

With `ask-origin` all callers with a credential read one partition, and each of them only after the origin has
let that very credential read (`proxy.access.proofs`). With `credential` each credential has a partition of
its own. `shared` means that the origin does not tell users apart.

A caller has a name for bookkeeping too, such as for a fair share. It may rest on what a token claims without
a proof, so that a renewed token stays the same person. It never decides what the caller may read.

Callers without a credential have one partition in each case, and nobody asks for them: they are all the same
to the origin, so what it sent to one of them it sent to all (RFC 9111).
"""

import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from math import inf
from types import MappingProxyType
from typing import Literal

from proxy.access.authorizer import Asked, Authorizer, Pairs, name_of
from proxy.access.bearer import NOBODY, Bearer, TokenVerifier
from proxy.wire.cookies import named, sorted_by_name
from proxy.wire.trace import trace_of

CREDENTIALS = ("authorization", "cookie")
"""Headers that prove the identity of the caller."""

PROXY = b"proxy"
"""The partition for an origin that knows only the proxy, so that all viewers are one caller."""

ASKED = b"asked"
"""The partition of all callers whom the origin lets read."""

_ASKS = frozenset({"origin", "access-control-request-method"})
_ASKS_NEVER = frozenset({*CREDENTIALS, "content-length", "transfer-encoding"})

Policy = Literal["ask-origin", "credential", "shared"]

MOST_PERSONS = 16384
"""Most credentials whose person is remembered."""


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


def always() -> bool:
    """The check of a proxy that lets everybody in itself."""
    return True


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
    person: bytes = b""
    """Name for bookkeeping, which proves nothing; empty for callers without a credential."""
    until: float = inf
    """Unix time from which a verified token has expired; a plan may outlive it."""
    is_let_in: Callable[[], bool] = field(default=always, compare=False)
    """True if the caller would be let in again now; False if somebody would be asked. It asks nobody."""
    can_read_on: Callable[[], bool] = field(default=always, compare=False)
    """True if a response under way may go on; False if the caller has to be let in again. It asks nobody."""


def is_preflight(method: str, headers: Iterable[tuple[str, str]]) -> bool:
    """True if a browser asks, before a page's request, if it may send it (the Fetch standard, CORS protocol).

    It does so without any credential, and without a body.
    """
    if method != "OPTIONS":
        return False
    names = {name for name, _ in headers}
    return names >= _ASKS and not names & _ASKS_NEVER


class Access:
    """Finds the caller of each request at both listeners."""

    def __init__(
        self,
        policy: Policy,
        forward: Mapping[str, Forward] = MappingProxyType({}),
        cookies: frozenset[str] | None = None,
        *,
        key: bytes | None = None,
        claimed: Callable[[Pairs], Pairs] | None = None,
        verifier: TokenVerifier | None = None,
        authorizer: Authorizer | None = None,
    ) -> None:
        """`forward` has the credentials that are forwarded to each origin, by its name.

        With `ask-origin` only the named `cookies` are a credential. If it is None, all cookies are, but only
        of a request without `Authorization`. `key` is the key of the HMACs, None to make one. `claimed` tells
        what credentials claim of a person, for bookkeeping. A `verifier` lets in only callers with a
        valid token, and then all tokens of a person have one identity. An `authorizer` has to let each caller
        in as well.
        """
        self._policy = policy
        self._forward = forward
        self._cookies = cookies
        self._key = key or secrets.token_bytes(32)
        self._claimed = claimed
        self._verifier = verifier
        self._authorizer = authorizer
        self._is_guarded = verifier is not None or authorizer is not None
        self._persons: dict[bytes, bytes] = {}

    async def admit(self, origin: str, asked: Asked, headers: Sequence[tuple[str, str]]) -> Caller:
        """The caller of a request with these headers, names in lower case, at an origin of this name.

        Raises `CallerRefused`, `AuthorityFailed`, `AuthorityTimeout`.
        """
        trace = trace_of(headers)
        shown = tuple([pair for pair in headers if pair[0] in CREDENTIALS])
        # A frame is asked for with exactly what the caller is known by. So a yes of the origin never depends
        # on a cookie that another caller with the same identity may lack.
        counted = self._counted(shown)
        if not self._is_guarded:
            return self._caller(origin, trace, shown, counted, NOBODY)
        bearer = await self._let_in(origin, asked, headers, counted)
        caller = self._caller(origin, trace, shown, counted, bearer)
        is_let_in, can_read_on = self._checks(origin, asked, shown, counted, bearer)
        return replace(caller, is_let_in=is_let_in, can_read_on=can_read_on)

    def _caller(self, origin: str, trace: Pairs, shown: Pairs, counted: Pairs, bearer: Bearer) -> Caller:
        forward, verified = self._forward[origin], self._digest(bearer.claims)
        name = self._name(counted, verified)
        person = verified or self._person(name, counted)
        if forward.is_own:
            return Caller(origin, (), PROXY, trace, person=person, until=bearer.until)
        forwarded = forward.credentials(shown)
        if self._policy != "ask-origin" or not forwarded:
            is_named = forwarded == counted and self._policy == "credential" and not verified
            partition = name if is_named else self.partition(forwarded)
            return Caller(origin, forwarded, partition, trace, b"", forwarded, person, bearer.until)
        if forwarded != shown:
            counted = self._counted(forwarded)
            name = self._name(counted, verified)
        partition = ASKED if name else b""
        return Caller(origin, counted, partition, trace, name, forwarded, person, bearer.until)

    def own(self, origin: str, credentials: Pairs = ()) -> Caller:
        """The caller that the proxy itself is, with these credentials. Nobody has to let it in."""
        return self._caller(origin, (), credentials, self._counted(credentials), NOBODY)

    async def person(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """`Caller.person` of the sender of these headers, who is not let in by this.

        If tokens are verified, raises `CallerRefused`, `AuthorityFailed`, `AuthorityTimeout`.
        """
        shown = tuple(pair for pair in headers if pair[0] in CREDENTIALS)
        bearer, counted = await self._bearer(shown), self._counted(shown)
        return self._digest(bearer.claims) or self._person(self._digest(counted), counted)

    def who(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """A digest of the credentials in these headers, the same at each origin; empty if there are none."""
        return self._digest(self._counted(tuple(pair for pair in headers if pair[0] in CREDENTIALS)))

    def partition(self, credentials: Iterable[tuple[str, str]]) -> bytes:
        """A partition for these credentials alone; empty if there are none, or if all may read."""
        return b"" if self._policy == "shared" else self._digest(credentials)

    async def _let_in(
        self, origin: str, asked: Asked, headers: Sequence[tuple[str, str]], counted: Pairs
    ) -> Bearer:
        """Lets a caller in; a browser's preflight has no credential, and gets in without."""
        if is_preflight(asked.method, headers):
            return NOBODY
        bearer = await self._bearer(headers)
        if self._authorizer is not None:
            who = self._name(counted, self._digest(bearer.claims))
            host = next((value for name, value in headers if name == "host"), "")
            await self._authorizer.admit(who, origin, asked, counted, host)
        return bearer

    def _checks(
        self, origin: str, asked: Asked, shown: Pairs, counted: Pairs, bearer: Bearer
    ) -> tuple[Callable[[], bool], Callable[[], bool]]:
        """`Caller.is_let_in` and `can_read_on` of a caller let in just now; they hold no credential."""
        now: list[Callable[[], bool]] = []
        later: list[Callable[[], bool]] = []
        if (verifier := self._verifier) is not None:
            token = tuple(pair for pair in shown if pair[0] == "authorization")
            now.append(partial(verifier.is_valid, self._digest(token)))
            later.append(partial(verifier.has_valid, bearer))
        if (authorizer := self._authorizer) is not None:
            name = name_of(self._name(counted, self._digest(bearer.claims)), origin, asked)
            now.append(partial(authorizer.is_let_in, name))
            later.append(partial(authorizer.can_read_on, name))
        return lambda: all(check() for check in now), lambda: all(check() for check in later)

    async def _bearer(self, headers: Iterable[tuple[str, str]]) -> Bearer:
        if self._verifier is None:
            return NOBODY
        token = tuple(pair for pair in headers if pair[0] == "authorization")
        return await self._verifier.bearer(self._digest(token), token)

    def _name(self, credentials: Pairs, verified: bytes) -> bytes:
        """The name of a caller in proofs: of the credentials, or of a person with the cookies that count."""
        if not verified or not credentials:
            return self._digest(credentials)
        cookies = tuple(pair for pair in credentials if pair[0] == "cookie")
        return self._digest((("person", verified.hex()), *cookies))

    def _person(self, name: bytes, credentials: Pairs) -> bytes:
        """The person whom a token claims to be of; the name of the credentials if there is no such token."""
        if self._claimed is None:
            return name
        person = self._persons.get(name)
        if person is None:
            person = self._persons[name] = self._digest(self._claimed(credentials)) or name
            if len(self._persons) > MOST_PERSONS:
                del self._persons[next(iter(self._persons))]
        return person

    def _counted(self, credentials: Pairs) -> Pairs:
        """The credentials that a caller is known by, with cookies in the order of their names."""
        proof = tuple([pair for pair in credentials if pair[0] == "authorization"])
        if self._cookies is None and proof:
            return proof
        sent = (value for name, value in credentials if name == "cookie")
        cookies = sorted_by_name(sent, self._cookies)
        return (*proof, ("cookie", cookies)) if cookies else proof

    def _digest(self, credentials: Iterable[tuple[str, str]]) -> bytes:
        proof = [f"{name}:{len(value)}:{value}" for name, value in credentials]
        if not proof:
            return b""
        return hmac.digest(self._key, "\n".join(proof).encode("utf-8", "surrogateescape"), sha256)

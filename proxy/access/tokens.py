"""Reads JSON Web Tokens of callers, and verifies that their issuer signed them (RFC 7519). Imports PyJWT.

A token that was verified is remembered until it expires, by a digest, so that a hit costs no signature. It
is verified anew if the keys of the issuer have changed.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any

import jwt

from proxy.access.authorizer import Pairs
from proxy.access.bearer import Bearer, TokenVerifier
from proxy.access.keys import KeySet, KeySource
from proxy.errors import CallerRefused

MOST_REMEMBERED = 16384
"""Most verified tokens that are remembered."""

_BEARER = re.compile(r"bearer +([\w-]+\.[\w-]+\.[\w-]*)", re.ASCII | re.IGNORECASE)
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""Errors that the library raises for tokens that somebody crafted."""


def token_of(credentials: Iterable[tuple[str, str]]) -> str | None:
    """The token in the only `Authorization`; None if there is none, or if it is no JWT.

    >>> token_of([("authorization", "Bearer a.b.c")]), token_of([("authorization", "Bearer a")])
    ('a.b.c', None)
    """
    said = [value for name, value in credentials if name == "authorization"]
    found = _BEARER.fullmatch(said[0]) if len(said) == 1 else None
    return None if found is None else found[1]


def claimed(names: Iterable[str], credentials: Pairs) -> Pairs:
    """The claims of a token with these names, without any proof; empty if it lacks one of the claims."""
    token = token_of(credentials)
    if token is None:
        return ()
    try:
        return named(jwt.decode(token, options={"verify_signature": False}), names)
    except _UNREADABLE:
        return ()


def named(claims: Mapping[str, Any], names: Iterable[str]) -> Pairs:
    """The claims with these names; empty if one of them is missing, or is neither text nor a number.

    >>> named({"iss": "https://login.example", "sub": "7", "exp": 1}, ["iss", "sub"])
    (('claim iss', '"https://login.example"'), ('claim sub', '"7"'))
    """
    pairs = tuple((f"claim {name}", claims.get(name)) for name in names)
    if not all(isinstance(value, str | int) for _, value in pairs):
        return ()
    return tuple((name, json.dumps(value)) for name, value in pairs)


@dataclass(frozen=True, slots=True)
class Terms:
    """The tokens that are accepted."""

    issuer: str
    """The claim `iss`."""
    audience: str
    """One of the audiences in the claim `aud`."""
    algorithms: frozenset[str]
    """Algorithms of signatures, all of them with public keys."""
    leeway: float
    """Seconds by which clocks may differ."""
    claims: tuple[str, ...]
    """Claims that together name a person."""


class Verifier(TokenVerifier):
    """Verifies tokens."""

    def __init__(self, terms: Terms, keys: KeySource, clock: Callable[[], float] = time) -> None:
        self._terms = terms
        self._keys = keys
        self._clock = clock
        self._verified: dict[bytes, tuple[Bearer, KeySet]] = {}
        self._until: dict[Pairs, float] = {}

    async def bearer(self, name: bytes, credentials: Pairs) -> Bearer:
        """The bearer of the token in these credentials, for which `name` stands.

        Raises `CallerRefused`, `AuthorityFailed`, `AuthorityTimeout`.
        """
        keys = await self._keys.current()
        bearer, verified_with = self._verified.get(name, (None, keys))
        if bearer is None or verified_with is not keys:
            bearer, keys = await self._verify(credentials, keys)
            self._remember(name, bearer, keys)
        if self._clock() >= bearer.until:
            raise _refused(jwt.ExpiredSignatureError())
        return bearer

    def is_valid(self, name: bytes) -> bool:
        """True if the token of this name is remembered as valid, and the keys need not be looked at."""
        bearer, verified_with = self._verified.get(name, (None, None))
        return bearer is not None and verified_with is self._keys.known and self._clock() < bearer.until

    def has_valid(self, bearer: Bearer) -> bool:
        """True if this token of the person, or a later one that was shown, has not expired."""
        return self._clock() < max(bearer.until, self._until.get(bearer.claims, 0.0))

    async def _verify(self, credentials: Pairs, keys: KeySet) -> tuple[Bearer, KeySet]:
        if not any(name == "authorization" for name, _ in credentials):
            raise CallerRefused("a token is required", 401, "Bearer")  # RFC 6750 3.1: without an error
        token = token_of(credentials)
        if token is None:
            raise _refused(jwt.DecodeError())
        algorithm, key_name = self._named_in(token)
        key = keys.fitting(key_name, algorithm)
        if key is None:
            keys = await self._keys.after(keys)
            key = keys.fitting(key_name, algorithm)
        if key is None:
            raise _refused(jwt.InvalidKeyError())
        return self._checked(token, algorithm, key.public), keys

    def _named_in(self, token: str) -> tuple[str, str | None]:
        """The algorithm that a token names, which has to be an accepted one, and its key."""
        try:
            header = jwt.get_unverified_header(token)
        except _UNREADABLE:
            raise _refused(jwt.DecodeError()) from None
        algorithm = str(header.get("alg"))
        if algorithm not in self._terms.algorithms or "crit" in header:
            raise _refused(jwt.InvalidAlgorithmError())
        return algorithm, header.get("kid")

    def _checked(self, token: str, algorithm: str, key: Any) -> Bearer:  # noqa: ANN401  # PyJWT's
        terms = self._terms
        try:
            claims = jwt.decode(
                token,
                key,
                [algorithm],
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
                audience=terms.audience,
                issuer=terms.issuer,
                leeway=terms.leeway,
            )
            person = named(claims, terms.claims)
            until = float(claims["exp"]) + terms.leeway
        except _UNREADABLE as error:
            raise _refused(error) from None
        if not person:
            raise _refused(jwt.MissingRequiredClaimError(", ".join(terms.claims)))
        return Bearer(person, until)

    def _remember(self, name: bytes, bearer: Bearer, keys: KeySet) -> None:
        until = max(bearer.until, self._until.pop(bearer.claims, 0.0))
        self._verified.pop(name, None)
        self._verified[name], self._until[bearer.claims] = (bearer, keys), until
        if len(self._verified) > MOST_REMEMBERED:
            del self._verified[next(iter(self._verified))]
        if len(self._until) > MOST_REMEMBERED:
            del self._until[next(iter(self._until))]


_WHY: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it does not count yet",
    jwt.InvalidAlgorithmError: "its algorithm is not accepted",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidKeyError: "the issuer has no such key",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.MissingRequiredClaimError: "it lacks a claim",
}


def _refused(error: Exception) -> CallerRefused:
    why = _WHY.get(type(error), "it can't be read")
    return CallerRefused(f"the token is not valid: {why}", 401, 'Bearer error="invalid_token"')

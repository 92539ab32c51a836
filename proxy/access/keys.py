"""The public keys of an issuer of tokens, from a file or from its URL (RFC 7517). Imports PyJWT.

known key ──────► no waiting; every ten minutes they are fetched anew in the background
unknown key ────► fetched anew, at most once in ten seconds, and all who wait share it
issuer silent ──► the known keys stay; without any, nobody is let in
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import jwt

from proxy.access.authorizer import Ask
from proxy.errors import AuthorityFailed, ProxyError

MOST_KEYS = 64
"""Most keys of an issuer."""
FETCHED_EVERY = 600.0
"""Seconds after which keys in use are fetched anew, so that a withdrawn key ends."""
AGAIN_AFTER = 10.0
"""Least seconds between two fetches."""

_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """One public key."""

    name: str | None
    """The `kid` of the key."""
    kind: str
    """RSA, EC or OKP."""
    algorithm: str | None
    """The only algorithm that the key is for; None if the issuer names none."""
    public: Any
    """The key, as the library takes it."""


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """The keys of an issuer at one time."""

    keys: tuple[Key, ...] = ()

    def fitting(self, name: str | None, algorithm: str) -> Key | None:
        """The key that a token names. A token without a name needs no choice, or none fits."""
        kind = _KINDS.get(algorithm[:2])
        usable = [key for key in self.keys if key.kind == kind and key.algorithm in (None, algorithm)]
        if name is not None:
            return next((key for key in usable if key.name == name), None)
        return usable[0] if len(usable) == 1 else None


class KeySource(Protocol):
    """The source of an issuer's keys."""

    async def current(self) -> KeySet:
        """The known keys, without waiting for the issuer."""
        ...

    @property
    def known(self) -> KeySet | None:
        """The known keys; None if it is time to see if they have changed."""
        ...

    async def after(self, known: KeySet) -> KeySet:
        """Keys that may be newer than the known ones. Raises `AuthorityFailed`, `AuthorityTimeout`."""
        ...


def read_keys(content: bytes) -> KeySet:
    """Reads a JSON Web Key Set. Keys of other kinds and private keys are left out. Raises `ValueError`."""
    try:
        told = json.loads(content)["keys"]
        keys = [key for each in told[:MOST_KEYS] if (key := _read_key(each)) is not None]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("no JSON Web Key Set") from None
    if not keys:
        raise ValueError("no public key for signatures")
    return KeySet(tuple(keys))


def _read_key(told: Any) -> Key | None:  # noqa: ANN401  # JSON of somebody else
    try:
        name, kind, algorithm = (told.get(each) for each in ("kid", "kty", "alg"))
        if kind not in _KINDS.values() or told.get("use", "sig") != "sig" or "d" in told:
            return None
        return Key(name, kind, algorithm, jwt.PyJWK(told).key)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None


def _sent(content: bytes) -> KeySet:
    try:
        return read_keys(content)
    except ValueError as error:
        raise AuthorityFailed(f"the issuer of tokens sent {error}") from error


class FileKeys:
    """Keys in a file, which is read again when it changes."""

    def __init__(
        self, current: Callable[[], Awaitable[KeySet]], known: Callable[[], KeySet | None] = lambda: None
    ) -> None:
        self._current = current
        self._known = known

    async def current(self) -> KeySet:
        """The keys in the file."""
        return await self._current()

    @property
    def known(self) -> KeySet | None:
        """The keys in the file, if it was looked at a moment ago."""
        return self._known()

    async def after(self, known: KeySet) -> KeySet:
        """The keys in the file; a change is seen within seconds."""
        del known
        return await self._current()


class PublishedKeys:
    """Keys that an issuer publishes at a URL."""

    def __init__(self, ask: Ask, url: str, clock: Callable[[], float] = monotonic) -> None:
        self._ask = ask
        self._url = url
        self._clock = clock
        self._held = KeySet()
        self._content: bytes | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fetched_from = 0.0
        self._due = 0.0
        self._error: ProxyError | None = None

    async def current(self) -> KeySet:
        """The known keys. If they are old, a fetch begins in the background."""
        if self._clock() >= self._due:
            self._begin()
        return self._held

    @property
    def known(self) -> KeySet | None:
        """The known keys, if they are not old."""
        return self._held if self._clock() < self._due else None

    async def after(self, known: KeySet) -> KeySet:
        """Keys that may be newer; waits for the issuer if it was not asked a moment ago."""
        if self._held is known:
            self._begin()
            if self._fetching is not None:
                await asyncio.shield(self._fetching)
        if not self._held.keys and self._error is not None:
            raise type(self._error)(str(self._error))  # one for each, or its traceback would grow
        return self._held

    def _begin(self) -> None:
        now = self._clock()
        if self._fetching is None and now >= self._fetched_from:
            self._fetched_from, self._due = now + AGAIN_AFTER, now + FETCHED_EVERY
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            status, _, content = await self._ask(self._url, (("accept", "application/json"),))
            if status != 200:
                raise AuthorityFailed(f"the issuer of tokens answered {status} instead of its keys")
            if content != self._content:
                self._held, self._content = _sent(content), content
            self._error = None
        except ProxyError as error:
            self._error, self._due = error, self._fetched_from
            _log.warning("no keys of the issuer of tokens; the known ones stay", extra={"why": str(error)})
        finally:
            self._fetching = None

    async def aclose(self) -> None:
        """Ends a fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()

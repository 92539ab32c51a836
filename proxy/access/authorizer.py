"""Asks an external authorizer who may read, as nginx's auth_request and Traefik's ForwardAuth do.

    2xx ─────────────────────► let in, for `ttl` seconds, to all of the study; renewed in the background
    401, 403, a redirect ────► the caller gets the same, for three seconds without another question
    anything else, nothing ──► 502 or 504; a yes that counts still serves until it ends

A question is for one caller, one origin and one study, and all who wait for it share it. If a path names no
study, it is for exactly that path and query. A request that may change something is asked about each time.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import Any

from proxy.errors import AuthorityFailed, CallerRefused

MOST_KEPT = 65536
"""Most answers of each kind that are kept."""
REFUSED_FOR = 3.0
"""Seconds for which a refusal is repeated without another question."""
RENEWED_FROM = 2 / 3
"""Share of its time after which a yes is renewed if the caller still asks."""
READING = ("GET", "HEAD")
"""Methods for which an answer is kept."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that send a GET elsewhere (RFC 9110 15.4)."""

Pairs = tuple[tuple[str, str], ...]
Ask = Callable[[str, Pairs], Awaitable[tuple[int, Mapping[str, str], bytes]]]
"""Sends a GET to a URL with headers, and returns status, headers and body.

Raises `AuthorityFailed`, `AuthorityTimeout`.
"""
Name = tuple[bytes, bytes]
"""A caller by the digest of its credentials, and what it asks for by another digest."""
_SEGMENT = r"(?!\.+(?:/|$))[A-Za-z0-9_.,-]+"
_PLAIN = re.compile(rf"(?P<study>studies/{_SEGMENT})(?:/{_SEGMENT})*/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """The request of a caller, as far as it decides who may send it."""

    method: str
    """Upper-case method."""
    path: str
    """Path below the origin, as received."""
    served: str
    """Path at the proxy, without the leading slash."""
    query: str = ""
    """Query as received."""

    @property
    def uri(self) -> str:
        """Path and query at the proxy."""
        return f"/{self.served}?{self.query}" if self.query else f"/{self.served}"

    @property
    def scope(self) -> str:
        """The study that a plain path names; else path and query.

        An origin may decode a path that is not plain to one of another study, even if it was encoded twice.

        >>> Asked("GET", "studies/1/series/2", "").scope, Asked("GET", "studies", "", "limit=1").scope
        ('studies/1', 'studies?limit=1')
        >>> Asked("GET", "studies/1/%252e%252e/2", "").scope
        'studies/1/%252e%252e/2?'
        """
        plain = _PLAIN.fullmatch(self.path)
        return plain["study"] if plain else f"{self.path}?{self.query}"


@dataclass(frozen=True, slots=True)
class _Yes:
    until: float
    renewed_from: float


@dataclass(frozen=True, slots=True)
class _No:
    """A refusal in the authorizer's own words."""

    until: float
    status: int
    challenge: str | None
    location: str | None


class Authorizer:
    """Lets in callers whom an external authorizer lets in."""

    def __init__(
        self, ask: Ask, url: str, ttl: float, scheme: str, clock: Callable[[], float] = monotonic
    ) -> None:
        """A yes counts for `ttl` seconds. `scheme` is that of the viewers' listener."""
        self._ask = ask
        self._url = url
        self._ttl = ttl
        self._scheme = scheme
        self._clock = clock
        self._yes: dict[Name, _Yes] = {}
        self._no: dict[Name, _No] = {}
        self._asking: dict[Name, asyncio.Task[_No | None]] = {}

    async def admit(self, who: bytes, origin: str, asked: Asked, credentials: Pairs, host: str) -> None:
        """Lets a caller in. Raises `CallerRefused`, `AuthorityFailed`, `AuthorityTimeout`.

        `who` stands for the credentials, and is empty for all callers without any.
        """
        headers = partial(self._headers, asked, credentials, host)
        if asked.method not in READING:
            no = await self._answer(headers())
        else:
            no = await self._kept(name_of(who, origin, asked), headers)
        if no is not None:
            words = "the authorizer does not let this caller in"
            raise CallerRefused(words, no.status, no.challenge, no.location)

    def is_let_in(self, name: Name) -> bool:
        """True if a yes of this name counts now, and is not due to be renewed."""
        yes = self._yes.get(name)
        return yes is not None and self._clock() < yes.renewed_from

    def can_read_on(self, name: Name) -> bool:
        """True if a response under way may go on: while a yes counts, or without a ttl until a refusal."""
        yes = self._yes.get(name)
        return yes is not None and (not self._ttl or self._clock() < yes.until)

    async def _kept(self, name: Name, headers: Callable[[], Pairs]) -> _No | None:
        yes, now = self._yes.get(name), self._clock()
        if yes is not None and now < yes.until:
            if now >= yes.renewed_from and name not in self._asking:
                self._start(name, headers())
            return None
        no = self._no.get(name)
        if no is not None and now < no.until:
            return no
        # A viewer that leaves must not end the question of the others.
        return await asyncio.shield(self._asking.get(name) or self._start(name, headers()))

    def _start(self, name: Name, headers: Pairs) -> asyncio.Task[_No | None]:
        task = self._asking[name] = asyncio.create_task(self._noted(name, headers))

        def over(task: asyncio.Task[_No | None]) -> None:
            del self._asking[name]
            if not task.cancelled():
                task.exception()  # of a renewal nobody waits for it

        task.add_done_callback(over)
        return task

    async def _noted(self, name: Name, headers: Pairs) -> _No | None:
        no, now = await self._answer(headers), self._clock()
        self._yes.pop(name, None)
        self._no.pop(name, None)
        if no is None:
            self._yes[name] = _Yes(now + self._ttl, now + self._ttl * RENEWED_FROM)
            _bound(self._yes)
        else:
            self._no[name] = no
            _bound(self._no)
        return no

    async def _answer(self, headers: Pairs) -> _No | None:
        status, said, _ = await self._ask(self._url, headers)
        if 200 <= status < 300:
            return None
        location = said.get("location")
        if status in (401, 403) or (status in REDIRECTS and location):
            until = self._clock() + REFUSED_FOR
            return _No(until, status, said.get("www-authenticate"), location)
        raise AuthorityFailed(f"the authorizer answered {status}")

    def _headers(self, asked: Asked, credentials: Pairs, host: str) -> Pairs:
        """The headers of a question; none of them is another header of the caller."""
        return (
            *credentials,
            ("x-forwarded-method", asked.method),
            ("x-forwarded-proto", self._scheme),
            ("x-forwarded-host", host),
            ("x-forwarded-uri", asked.uri),
            ("x-original-method", asked.method),
            ("x-original-uri", asked.uri),
            ("x-original-url", f"{self._scheme}://{host}{asked.uri}"),
        )

    async def aclose(self) -> None:
        """Ends the questions under way."""
        for task in self._asking.values():
            task.cancel()


def name_of(who: bytes, origin: str, asked: Asked) -> Name:
    """The name under which the answer to a question is kept."""
    what = f"{origin}\n{asked.method}\n{asked.scope}".encode("utf-8", "surrogateescape")
    return who, sha256(what).digest()


def _bound(kept: dict[Name, Any]) -> None:
    """Drops the oldest answer of a table that is too long."""
    if len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]

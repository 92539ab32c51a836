"""Tokens that a token server issues to the proxy itself: OAuth 2.0 client credentials (RFC 6749 4.4).

    no token ───────────────► requests wait for one, and all who wait share the question
    a token near its end ───► still used, while a new one is fetched in the background
    the token server fails ─► the token stays until it ends; without one, requests fail at once for a moment
    the origin answers 401 ─► a new token, unless another 401 led to one a moment ago

A token and the client's secret occur in no message, log line or `repr`.
"""

import asyncio
import json
import logging
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from time import monotonic
from urllib.parse import quote_plus, urlencode

from proxy.errors import AuthorityFailed, NoToken, ProxyError
from proxy.origin.authority import Authority
from proxy.origin.rotation import Rotating

RENEWED_FROM = 0.75
"""Share of a token's lifetime after which it is renewed."""
MARGIN = 5.0
"""Seconds before its end from which a token is not used, because a request takes time to arrive."""
AGAIN_AFTER = 3.0
"""Seconds after a failed question until the next one."""
REFUSED_AGAIN_AFTER = 10.0
"""Seconds within which only one 401 of the origin leads to a new token."""

_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
_ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
        *("unsupported_grant_type", "invalid_scope"),
    }
)
"""Errors of a token server (RFC 6749 5.2). Any other text stays out of messages."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """The proxy as a client of a token server."""

    url: str
    """URL of the token endpoint."""
    name: str
    """Its `client_id`."""
    scope: str = ""
    """The scope to ask for; empty for the server's default."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renewed_from: float
    until: float


class IssuedTokens:
    """The proxy's token for one origin."""

    def __init__(
        self,
        origin: str,
        client: Client,
        secret: Rotating[str],
        server: Authority,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`origin` is the name of the origin in log lines."""
        self._origin = origin
        self._client = client
        self._secret = secret
        self._server = server
        self._clock = clock
        self._held: _Token | None = None
        self._asking: asyncio.Task[None] | None = None
        self._asked_from = 0.0
        self._refused_from = 0.0
        self._fault = ""

    async def current(self) -> str:
        """The token. Raises `NoToken` if there is none that is still good."""
        held, now = self._held, self._clock()
        if held is not None and now < held.until:
            if now >= held.renewed_from:
                self._begin()
            return held.value
        self._begin()
        await self._asked()
        held = self._held
        if held is None or self._clock() >= held.until:
            raise NoToken(f"no token for the origin: {self._fault or 'it ended at once'}")
        return held.value

    async def after(self, refused: str) -> str:
        """A token that may be newer than the one that the origin refused, which else is returned."""
        if self._known(refused) != refused:
            return self._known(refused)
        if self._clock() >= self._refused_from and self._begin():
            self._refused_from = self._clock() + REFUSED_AGAIN_AFTER
        await self._asked()
        return self._known(refused)

    def _known(self, otherwise: str) -> str:
        return otherwise if self._held is None else self._held.value

    def _begin(self) -> bool:
        """Asks for a token. Returns False if a question is under way, or failed a moment ago."""
        if self._asking is not None or self._clock() < self._asked_from:
            return False
        self._asking = asyncio.create_task(self._renew())
        return True

    async def _asked(self) -> None:
        """Waits for the question under way. A caller that leaves does not end it for the others."""
        if self._asking is not None:
            await asyncio.shield(self._asking)

    async def _renew(self) -> None:
        try:
            self._held = await self._new()
            if self._fault:
                _log.info("the token server issues tokens again", extra={"origin": self._origin})
            self._fault = ""
        except ProxyError as error:
            self._asked_from = self._clock() + AGAIN_AFTER
            if str(error) != self._fault:
                told = {"origin": self._origin, "why": str(error)}
                _log.warning("no new token; the one held stays until it ends", extra=told)
            self._fault = str(error)
        finally:
            self._asking = None

    async def _new(self) -> _Token:
        client, secret = self._client, await self._secret.current()
        asked = {"grant_type": "client_credentials"} | ({"scope": client.scope} if client.scope else {})
        pair = f"{quote_plus(client.name)}:{quote_plus(secret)}"  # RFC 6749 2.3.1
        headers = (
            ("accept", "application/json"),
            ("authorization", f"Basic {b64encode(pair.encode()).decode('ascii')}"),
            ("content-type", "application/x-www-form-urlencoded"),
        )
        sent = self._clock()
        status, _, content = await self._server.post(client.url, headers, urlencode(asked).encode())
        return _token_in(status, content, sent)

    async def aclose(self) -> None:
        """Ends a question under way."""
        if self._asking is not None:
            self._asking.cancel()


def _token_in(status: int, content: bytes, sent: float) -> _Token:
    """The token in a response to a request that was sent then (RFC 6749 5.1). Raises `AuthorityFailed`."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    told = told if isinstance(told, dict) else {}
    if status != 200:
        error = told.get("error")
        words = f": {error}" if isinstance(error, str) and error in _ERRORS else ""
        raise AuthorityFailed(f"the token server answered {status}{words}")
    value, kind = told.get("access_token"), told.get("token_type")
    if not (isinstance(value, str) and _TOKEN.fullmatch(value)):
        raise AuthorityFailed("the token server sent no access_token")
    if not (isinstance(kind, str) and kind.lower() == "bearer"):
        raise AuthorityFailed("the token server sent a token that is no bearer token")
    lifetime = _lifetime(told.get("expires_in"))
    margin = min(MARGIN, lifetime * (1 - RENEWED_FROM))
    return _Token(value, sent + lifetime * RENEWED_FROM, sent + lifetime - margin)


def _lifetime(told: object) -> float:
    """Seconds for which a token is good. If the server does not say, until the origin refuses it."""
    try:
        seconds = inf if told is None else float(str(told))  # some servers send a text
    except ValueError:
        seconds = -1.0
    if seconds <= 0 or (told is not None and not isfinite(seconds)):
        raise AuthorityFailed("the token server sent an expires_in that is not a number of seconds")
    return seconds

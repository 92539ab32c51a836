"""The lock of the admin listener: all but health, metrics and descriptions needs the operator's token.

Without a token these routes are off. Health and metrics stay open, because the kubelet and Prometheus ask for
them.

The token comes as a bearer in `Proxy-Authorization` (RFC 9110 11.7.1) or in `Authorization` (RFC 6750 2.1). A
request for a plan may carry both headers: its `Authorization` then belongs to the origin, as for a viewer.
"""

import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import Request

from proxy.errors import AdminLocked, AdminOff, ConfigurationError
from proxy.origin.rotation import Files, Rotating
from proxy.wire.request import read_headers

FEWEST = 16
"""Characters of the shortest token that is accepted."""

_TOKEN = re.compile(rb"[\x21-\x7e]+")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lock:
    """Admits requests to what is not open to everybody."""

    token: Rotating[bytes] | None
    """The operator's token; None if there is none."""
    is_open: bool = False
    """True if everybody is admitted, on loopback."""

    @property
    def is_off(self) -> bool:
        """True if nobody can be admitted."""
        return self.token is None and not self.is_open

    def needs(self, request: Request) -> Literal["nothing", "token", "off"]:
        """The thing that a request has to show: nothing, the token, or `off` if nothing helps."""
        if self.is_open or getattr(request.state, "certificate", None):
            return "nothing"
        return "off" if self.is_off else "token"

    async def admit(self, request: Request) -> None:
        """Lets in a client with a certificate, or with the token. Raises `AdminOff`, `AdminLocked`."""
        if self.needs(request) == "nothing":
            return
        if self.token is None:
            raise AdminOff("set admin.token_file to use this")
        token = await self.token.current()
        if not any(hmac.compare_digest(shown, token) for shown in _shown(request)):
            raise AdminLocked("a bearer with the admin token is required")
        request.state.token = token  # another one may be current once the body is in

    async def without_token(self, request: Request) -> list[tuple[str, str]]:
        """The headers of an admitted request without the operator's token, which no origin may see."""
        tokens = {getattr(request.state, "token", None)}
        if self.token is not None:  # a client with a certificate may show it too
            tokens.add(await self.token.current())
        headers = read_headers(request.scope["headers"])
        return [
            pair
            for pair in headers
            if pair[0] != "proxy-authorization"
            and not (pair[0] == "authorization" and any(_is(pair[1], token) for token in tokens))
        ]


def lock_of(token_file: Path | None, *, is_open: bool) -> Lock:
    """Reads the token, which blocks. Raises `ConfigurationError`."""
    if token_file is None:
        if not is_open:
            _log.info("the page for operators and /v1 are off: no admin.token_file is set")
        return Lock(None, is_open)

    def token_of(contents: Sequence[bytes]) -> bytes:
        token = contents[0].strip()
        if len(token) < FEWEST or not _TOKEN.fullmatch(token):
            words = f"a token has at least {FEWEST} characters, printable ASCII without spaces"
            raise ConfigurationError(f"{token_file}: {words}")
        return token

    return Lock(Rotating(Files((token_file,), token_of)))


def _shown(request: Request) -> list[bytes]:
    names = (b"proxy-authorization", b"authorization")
    values = (value for name, value in request.scope["headers"] if name in names)
    return [value[7:].strip() for value in values if value[:7].lower() == b"bearer "]


def _is(value: str, token: bytes | None) -> bool:
    shown = value.encode("utf-8", "surrogateescape")
    is_bearer = token is not None and shown[:7].lower() == b"bearer "
    return is_bearer and hmac.compare_digest(shown[7:].strip(), token or b"")

"""The version in the paths of the admin API, and paths of before it had one, which work until they end.

A request for an old path is answered as for the new one, and says that the old one is deprecated (RFC 9745),
when it ends (RFC 8594), and what follows it (RFC 5829).
"""

from collections.abc import MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

VERSION = "/v1"
"""Begins the path of everything that is not health, metrics or the description of the API."""
DEPRECATED = datetime(2026, 11, 29, tzinfo=UTC)
"""When the paths without a version became deprecated."""
SUNSET = datetime(2027, 5, 31, tzinfo=UTC)
"""When they may end."""

_OLD = ("/plans", "/cache", "/origins")


class Versioned:
    """An application whose paths have a version, and which still knows the old ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http" or not is_old(scope["path"]):
            await self._app(scope, receive, send)
            return
        path = VERSION + scope["path"]
        told = deprecation_of(path)

        async def telling(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        await self._app({**scope, "path": path, "raw_path": quote(path).encode()}, receive, telling)


def is_old(path: str) -> bool:
    """True if a path had a meaning before paths had a version.

    >>> is_old("/plans/7/events"), is_old("/plansible"), is_old("/v1/plans"), is_old("/livez")
    (True, False, False, False)
    """
    return any(path == old or path.startswith(f"{old}/") for old in _OLD)


def deprecation_of(successor: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer at an old path.

    >>> [value for _, value in deprecation_of("/v1/plans")]
    [b'@1795910400', b'Mon, 31 May 2027 00:00:00 GMT', b'</v1/plans>; rel="successor-version"']
    """
    return [
        (b"deprecation", f"@{int(DEPRECATED.timestamp())}".encode()),
        (b"sunset", format_datetime(SUNSET, usegmt=True).encode()),
        (b"link", f'<{quote(successor)}>; rel="successor-version"'.encode("ascii")),
    ]

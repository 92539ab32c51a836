"""The door of the admin listener: all but health and metrics is locked, and has so many places.

It stands before the framework, which reads a whole body before it looks at anything else. So nobody without
the token makes the proxy hold a body, and requests beyond the bound leave health its connections.
"""

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.access.bounds import Bound
from proxy.admin.lock import Lock
from proxy.errors import ProxyError
from proxy.wire.problem import details_of, headers_of, status_of

PROBLEM = "application/problem+json"
DOCS = "/docs"
"""The page that shows the API, whose files lie below."""
PAGE = "/page"
"""The page for operators; its files lie below. They show nothing without the token."""
OPEN = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json", DOCS})
"""Paths for everybody."""
OF_PAGE = frozenset({"/", PAGE})
"""Paths that everybody may read."""


class Operators:
    """Admits the requests of operators."""

    def __init__(self, app: ASGIApp, lock: Lock, bound: Bound) -> None:
        self._app = app
        self._lock = lock
        self._bound = bound

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        path = scope.get("path", "")
        is_page = path in OF_PAGE or path.startswith(f"{PAGE}/")
        is_open = path in OPEN or path.startswith(f"{DOCS}/")
        if scope["type"] != "http" or is_open or (is_page and scope["method"] in ("GET", "HEAD")):
            return await self._app(scope, receive, send)
        try:
            await self._lock.admit(Request(scope))
            self._bound.take(b"")
        except ProxyError as error:
            return await problem(error)(scope, receive, send)
        try:
            await self._app(scope, receive, send)
        finally:
            self._bound.give_back(b"")


def problem(error: ProxyError) -> JSONResponse:
    """An error as a response."""
    headers = {name.decode(): value.decode("latin-1") for name, value in headers_of(error)}
    return JSONResponse(details_of(error), status_of(error), headers, PROBLEM)

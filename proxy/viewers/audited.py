"""Writes a line in the audit for each request of a viewer that names a study, once its answer has ended."""

import re
from collections.abc import Collection, MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.access.caller import Access
from proxy.telemetry.audit import Audit, sender_of
from proxy.wire.request import read_headers

_NAMED = re.compile(
    r"/(?:(?P<origin>[^/]+)/)?studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+))?"
    r"(?:/instances/(?P<instance>[^/]+))?(?:/(?P<kind>[^/]+))?(?:/(?P<frames>[0-9][^/]*)(?:/(?P<form>[^/]+))?)?.*",
    re.DOTALL | re.IGNORECASE,
)


def named_in(path: str) -> dict[str, str] | None:
    """The parts of a path that names a study to a server that reads paths leniently; None if it names none.

    >>> named_in("/studies/1.2/series/3/instances/4/frames/5")
    {'study': '1.2', 'series': '3', 'instance': '4', 'kind': 'frames', 'frames': '5'}
    """
    segments = [segment for segment in unquote(path).split("/") if segment]
    match = _NAMED.fullmatch("/" + "/".join(segments))
    if match is None:
        return None
    found = {name: value for name, value in match.groupdict().items() if value}
    if "kind" not in found:  # whole instances
        found["kind"] = next(name for name in ("instance", "series", "study") if name in found)
    found["kind"] = found.pop("form", found["kind"])
    return found


class Audited:
    """An application with an audit of its answers."""

    def __init__(
        self, app: ASGIApp, audit: Audit, access: Access, origins: Collection[str], default: str | None
    ) -> None:
        """`origins` are the names of all; `default` is the origin of paths that begin with none of them."""
        self._app = app
        self._audit = audit
        self._access = access
        self._origins = origins
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, and notes how far the answer came."""
        named = named_in(scope["raw_path"].decode("latin-1")) if scope["type"] == "http" else None
        if named is None:
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        who, sender = self._access.who(read_headers(headers)).hex(), sender_of(scope.get("client"), headers)
        status, size, is_whole = 0, 0, False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status, size, is_whole
            await send(message)
            status = message.get("status", status)
            size += len(message.get("body", b""))
            is_whole = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self._app(scope, receive, sending)
        finally:
            origin = named["origin"] if named.get("origin") in self._origins else self._default
            fields = {**named, "origin": origin, "status": status, "bytes": size, "is_whole": is_whole}
            self._audit.note("answer", method=scope["method"], **fields, who=who, **sender)

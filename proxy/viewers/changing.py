"""Unsafe requests: when one changes an origin, the proxy drops what it holds of that scope (RFC 9111 4.4).

The scope is the study, series or instance in the path. A STOW without a study names the study in its
response, by the RetrieveURLs of the stored instances (PS3.18 10.5.3). If the response names none, or can't be
read, the proxy drops everything of the origin. It drops before it forwards the response, so the sender can't
get stale frames afterwards.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from proxy.frame.scope import FrameScope

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 9.2.1)."""
LONGEST = 256
"""Bytes of a response that are searched again together with the next chunk."""

_LEVELS = ("studies", "series", "instances")
_STUDY = re.compile(rb"studies\\?/([^/\\\"'<>\s?#]{1,128})(?=[/\\\"'<>\s?#])")  # JSON may write \/


def named_by(origin: str, path: str) -> FrameScope | None:
    """The scope that a path names; for `studies` the whole origin, and None for a path of another kind.

    >>> named_by("pacs", "studies/1/series/2/metadata").series
    '2'
    """
    segments = [segment for segment in unquote(path).split("/") if segment]
    levels = [segment.lower() for segment in segments[::2]]  # some servers accept any case
    if not levels or levels[0] not in _LEVELS:
        return None
    uids = {level: uid for level, uid in zip(levels, segments[1::2], strict=False) if level in _LEVELS}
    study, series, instance = (uids.get(level, "") for level in _LEVELS)
    return FrameScope(origin, study, series, instance)


class Change:
    """One unsafe request while its response comes."""

    def __init__(self, named: FrameScope, forget: Callable[[FrameScope], None], send: Send) -> None:
        self._named = named
        self._forget = forget
        self._send = send
        self._is_any = named == FrameScope(named.origin)
        self._is_read = False
        self._is_done = False
        self._tail = b""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Forwards a message of the response, and before that drops what it names."""
        if message["type"] == "http.response.start":
            self._begin(message["status"], dict(message["headers"]))
        elif self._is_read:
            self._read(message.get("body", b""), is_last=not message.get("more_body"))
        await self._send(message)

    def _begin(self, status: int, headers: dict[bytes, bytes]) -> None:
        is_refused, has_failed = 400 <= status < 500, status >= 500
        if is_refused or (has_failed and self._is_any):
            self._is_done = True
        elif not self._is_any or headers.get(b"content-encoding", b"identity") != b"identity":
            self.forget()
        else:
            self._is_read = True

    def _read(self, chunk: bytes, *, is_last: bool) -> None:
        text = self._tail + chunk + (b" " if is_last else b"")
        for study in dict.fromkeys(_STUDY.findall(text)):
            self._is_done = True
            self._forget(FrameScope(self._named.origin, study.decode("latin-1")))
        self._tail = text[-LONGEST:]
        if is_last and not self._is_done:
            self.forget()

    def forget(self) -> None:
        """Drops the scope of the request."""
        self._is_done = True
        self._forget(self._named)

    def lose(self, *, has_sender_left: bool) -> None:
        """The response broke off: drops the scope, since the origin may have changed.

        A sender that leaves before the response begins can't make the proxy drop all frames of an origin.
        """
        is_begun = self._is_read or not self._is_any
        if self._is_read or (not self._is_done and (is_begun or not has_sender_left)):
            self.forget()

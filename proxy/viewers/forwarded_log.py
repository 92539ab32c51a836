"""A log line for a request that is forwarded, at most so many in a second; and the metrics of all."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from proxy.errors import ProxyError
from proxy.telemetry.metrics import Metrics
from proxy.wire.problem import status_of

_LAST = re.compile(r"/?(metadata|rendered|thumbnail|bulkdata|frames|pixeldata)(?:/|$)")
_LEVELS = ("studies", "series", "instances")

_log = logging.getLogger(__name__)


def kind_of(method: str, path: str) -> str:
    """The kind of a request, without any UID.

    >>> kind_of("GET", "studies"), kind_of("GET", "studies/1.2/series"), kind_of("POST", "studies/1.2")
    ('search', 'search', 'store')
    >>> kind_of("GET", "studies/1.2/metadata"), kind_of("GET", "studies/1.2/series/1.3"), kind_of("GET", "x")
    ('metadata', 'instances', 'other')
    """
    if method == "DELETE":
        return "delete"
    segments = path.rstrip("/").split("/")
    if segments[0] not in _LEVELS:
        return "other"
    if method not in ("GET", "HEAD", "OPTIONS"):
        return "store"
    if found := _LAST.search(path):
        return found[1]
    return "search" if segments[-1] in _LEVELS else "instances"


@dataclass
class Line:
    """The outcome of one request."""

    status: int = 0
    """Status that the viewer got; 0 if none was sent."""
    sent: int = 0
    """Bytes of the body that were sent."""
    answered: float | None = None
    """Time at which the status was sent."""
    clock: Callable[[], float] = monotonic
    """Tells the time."""

    def note(self, message: Mapping[str, Any]) -> None:
        """Notes a message of the response."""
        if "status" in message:
            self.status, self.answered = message["status"], self.clock()
        self.sent += len(message.get("body", b""))


class ForwardedLog:
    """Writes the lines. Those above the number allowed are counted, and the next line tells how many."""

    def __init__(
        self,
        per_second: int,
        metrics: Metrics,
        *,
        with_uids: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._metrics = metrics
        self._per_second = per_second
        self._with_uids = with_uids
        self._clock = clock
        self._second = 0
        self._written = 0
        self._left_out = 0

    @contextmanager
    def line(self, origin: str, method: str, path: str) -> Iterator[Line]:
        """Writes a line at the end of a request, unless none of its response was sent."""
        line, began, why = Line(clock=self._clock), self._clock(), ""
        try:
            yield line
        except ProxyError as error:
            line.status, why = line.status or status_of(error), type(error).__name__
            raise
        except BaseException as error:
            why = type(error).__name__
            raise
        finally:
            if line.status or why:
                self._end(line, began, why, origin, method, path)

    def _end(self, line: Line, began: float, why: str, origin: str, method: str, path: str) -> None:
        ended, kind = self._clock(), kind_of(method, path)
        first = (ended if line.answered is None else line.answered) - began
        self._metrics.forwarded.labels(origin, kind, str(line.status)).inc()
        self._metrics.forwarded_seconds.labels(origin, kind).observe(first)
        if _log.isEnabledFor(logging.INFO) and self._may_write():
            self._write(line, ended - began, why, origin, method, path)

    def _may_write(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= self._per_second:
            self._left_out += 1
            return False
        self._written += 1
        return True

    def _write(self, line: Line, seconds: float, why: str, origin: str, method: str, path: str) -> None:
        fields: dict[str, object] = {
            "origin": origin,
            "method": method,
            "kind": kind_of(method, path),
            "status": line.status,
            "bytes": line.sent,
            "ms": round(seconds * 1000, 1),
        }
        if why:
            fields["why"] = why
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        if self._with_uids:
            fields["resource"] = path
        _log.info("forwarded", extra=fields)

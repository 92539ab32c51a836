"""The audit: who asked for which images, one JSON object a line, apart from the log.

A thread of its own writes the lines, so a slow disk holds up no response. At the end, it writes all that are
left. If the file was moved away, the next line opens a new one.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import QueueListener, WatchedFileHandler
from queue import SimpleQueue
from types import TracebackType
from typing import Self

LONGEST = 1000
"""Characters of X-Forwarded-For that are written down."""

_log = logging.getLogger(__name__)


class _Telling(logging.Handler):
    """Tells the log that lines are lost, but not which: they have UIDs."""

    is_well = True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's spelling
        del record
        if self.is_well:
            self.is_well = False
            why = sys.exc_info()[0]
            _log.error("the audit can't be written", extra={"why": why.__name__ if why else ""})


class _File(_Telling, WatchedFileHandler):
    """A file that may be moved away."""


class _Stream(_Telling, logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Standard output."""


class Audit:
    """Writes the lines while it is open. Without a file it is off."""

    def __init__(self, file: str | None = None) -> None:
        """`file` is a path, or `-` for standard output."""
        self.is_on = file is not None
        self._file = file
        self._lines: SimpleQueue[logging.LogRecord] = SimpleQueue()
        self._writing: tuple[QueueListener, logging.Handler] | None = None

    def note(self, event: str, **fields: object) -> None:
        """One more line. Fields that are None or empty are left out."""
        if not self.is_on:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        kept = {name: value for name, value in fields.items() if value not in (None, "", b"")}
        line = json.dumps({"time": time, "event": event, **kept})
        self._lines.put(logging.makeLogRecord({"msg": line}))

    def open(self) -> None:
        """Begins to write. Raises `OSError` if the file can't be opened."""
        if self._file is not None:
            handler = _Stream(sys.stdout) if self._file == "-" else _File(self._file, encoding="utf-8")
            self._writing = QueueListener(self._lines, handler), handler
            self._writing[0].start()

    def close(self) -> None:
        """Writes all that is left."""
        if self._writing is not None:
            listener, handler = self._writing
            listener.stop()
            handler.close()

    async def __aenter__(self) -> Self:
        """Opens it, beside the loop."""
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def sender_of(client: Iterable[object] | None, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, object]:
    """The address that a request came from, and the one that it claims, for an audit.

    Anybody can claim any address, unless a server in front of the proxy sees to it.
    """
    told = ", ".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for")
    return {"peer": next(iter(client or ()), None), "forwarded_for": told[:LONGEST]}

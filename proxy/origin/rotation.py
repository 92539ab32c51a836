"""Values that change while the service runs: a secret in a file, a certificate, keys that expire.

A value is read at start, and an error then ends the start. While the service runs, the proxy checks a cheap
mark to see if the value has changed. If the new value can't be used, the proxy logs that once, and keeps the
last good value until there is a better one. Kubernetes changes a mounted secret by swapping a link above it.
The path then leads to another file, and the mark changes.
"""

import asyncio
import logging
import stat
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic
from typing import Generic, Protocol, TypeVar

from proxy.errors import ConfigurationError

LOOK_EVERY = 2.0
"""Seconds between checks of the mark."""
MAX_BYTES = 1024 * 1024
"""Maximum bytes of a file; the system's bundle of authorities has a fifth of that."""

_log = logging.getLogger(__name__)

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class SecretSource(Protocol[Value_co]):
    """The source of a value. `mark` and `read` may block, and raise `ConfigurationError`."""

    @property
    def can_change(self) -> bool:
        """True if the value can change."""
        ...

    def mark(self) -> Hashable:
        """A mark, which differs from the one before if the value may have changed."""
        ...

    def read(self) -> Value_co:
        """Reads the value."""
        ...


@dataclass(frozen=True, slots=True)
class Files(SecretSource[Value]):
    """A value made from the contents of files. Without files it never changes."""

    paths: tuple[Path, ...]
    make: Callable[[Sequence[bytes]], Value]
    """Makes the value. Raises `ConfigurationError` if the contents can't be used."""

    @property
    def can_change(self) -> bool:
        """True if there are files."""
        return bool(self.paths)

    def mark(self) -> Hashable:
        """Identity, time and size of each file, with links followed."""
        return tuple(_mark_of(path) for path in self.paths)

    def read(self) -> Value:
        """Makes the value from what the files hold now."""
        return self.make([_content_of(path) for path in self.paths])


@dataclass(frozen=True, slots=True)
class _Held(Generic[Value]):
    mark: Hashable
    value: Value

    def __repr__(self) -> str:
        return "<held>"  # the value may be a secret


class Rotating(Generic[Value]):
    """The newest good value of a source."""

    def __init__(self, source: SecretSource[Value], look_every: float = LOOK_EVERY) -> None:
        """Reads the value, which blocks. Raises `ConfigurationError`."""
        self._source = source
        self._held = self._read()
        self.look_every = look_every if source.can_change else inf
        """Seconds between checks of the mark."""
        self._looked_at = monotonic()
        self._fault = ""

    async def current(self) -> Value:
        """Returns the value. At most every `look_every` seconds, one caller waits for a check of the mark."""
        if self._is_due:
            self._looked_at = monotonic()
            await asyncio.to_thread(self._look)
        return self._held.value

    def known(self) -> Value | None:
        """The value; None if its mark is to be checked."""
        return None if self._is_due else self._held.value

    @property
    def _is_due(self) -> bool:
        return monotonic() >= self._looked_at + self.look_every

    async def after(self, refused: Value) -> Value:
        """Returns a value that may be newer than `refused`. Reads it now, unless a caller has done so."""
        if self._held.value == refused:
            await asyncio.to_thread(self._look, is_doubted=True)
        return self._held.value

    def _look(self, *, is_doubted: bool = False) -> None:
        try:
            if is_doubted or self._source.mark() != self._held.mark:
                self._held = self._read()
        except ConfigurationError as error:
            if str(error) != self._fault:
                _log.warning("can't be used; the last good one stays", extra={"why": str(error)})
            self._fault = str(error)
            return
        if self._fault:
            _log.info("can be used again", extra={"was": self._fault})
        self._fault = ""

    def _read(self) -> _Held[Value]:
        mark = self._source.mark()  # before the value, so that a change in between is seen at the next check
        return _Held(mark, self._source.read())


def _mark_of(path: Path) -> Hashable:
    try:
        seen = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from error
    if not stat.S_ISREG(seen.st_mode):
        raise ConfigurationError(f"{path}: not a file")
    return seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_size


def _content_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{path}: larger than {MAX_BYTES} bytes")
    return content

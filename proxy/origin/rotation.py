"""A value that changes under a running service: a secret in a file, a certificate, keys that expire.

It is read at start, where a fault is the operator's, and looked at again beside the requests: a mark
that is cheap to take says whether it has changed. A change that can't be used is logged once, and the
last good value stays in force until there is a better one. Kubernetes changes a mounted secret by
swapping a link above it: the file behind the path is another one then, which its mark tells.
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
"""Seconds between looks."""
MAX_BYTES = 1024 * 1024
"""Bytes of a file; the system's bundle of authorities has a fifth of them."""

_log = logging.getLogger(__name__)

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class SecretSource(Protocol[Value_co]):
    """Where a value comes from. Both calls may block and raise `ConfigurationError`."""

    @property
    def can_change(self) -> bool:
        """True if it is worth a look at all."""
        ...

    def mark(self) -> Hashable:
        """Another one than before once the value may have changed."""
        ...

    def read(self) -> Value_co:
        """The value now."""
        ...


@dataclass(frozen=True, slots=True)
class Files(SecretSource[Value]):
    """A value made from the contents of files; from none it is made once, and stays."""

    paths: tuple[Path, ...]
    make: Callable[[Sequence[bytes]], Value]
    """Raises `ConfigurationError` for contents that are no good."""

    @property
    def can_change(self) -> bool:
        """Where there is a file."""
        return bool(self.paths)

    def mark(self) -> Hashable:
        """Which files these are, links followed, and when each was written."""
        return tuple(_mark_of(path) for path in self.paths)

    def read(self) -> Value:
        """The value of what the files hold now."""
        return self.make([_content_of(path) for path in self.paths])


@dataclass(frozen=True, slots=True)
class _Held(Generic[Value]):
    mark: Hashable
    value: Value

    def __repr__(self) -> str:
        return "<held>"  # the value may be a secret


class Rotating(Generic[Value]):
    """The newest good value of a source."""

    def __init__(self, source: SecretSource[Value]) -> None:
        """Reads it; blocking. Raises `ConfigurationError`."""
        self._source = source
        self._held = self._read()
        self._look_at = monotonic() + LOOK_EVERY if source.can_change else inf
        self._fault = ""

    async def current(self) -> Value:
        """The value; at most every `LOOK_EVERY` one caller waits for a look at its source."""
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + LOOK_EVERY
            await asyncio.to_thread(self._look)
        return self._held.value

    async def after(self, refused: Value) -> Value:
        """The value once one was refused: read at once, whatever its mark, unless somebody already did."""
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
        mark = self._source.mark()  # before the value: what changes in between is seen at the next look
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

"""The paths of a frame in an object store. Pure, but for HMACs.

    frames/{origin}/{study}/{frame}/{name}/head        its record and first bytes
    frames/{origin}/{study}/{frame}/{name}/{version}   the rest of a version
    purged/{level}                                     the fence of an origin, a study or a frame

Each part is an HMAC. `purged` sorts after `frames`, so somebody who deletes all objects one by one deletes
fences last.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from proxy.cache.lie import Lie
from proxy.cache.places import levels_around, levels_of
from proxy.cache.record import VERSION
from proxy.cache.sealed import Name, Names, derived
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

STUDY = 2
"""Levels down to a study."""


@dataclass(frozen=True, slots=True)
class At:
    """The paths of a frame."""

    name: Name
    """The names of the frame."""
    fences: tuple[str, ...]
    """The paths of its fences, from wide to narrow."""
    folder: str
    """The beginning of its own paths."""

    @property
    def head(self) -> str:
        """The path of its record and first bytes."""
        return f"{self.folder}/head"


class Paths:
    """Gives paths."""

    def __init__(self, names: Names, key: bytes) -> None:
        """Replicas with the same `key` have the same paths."""
        self._names = names
        self._key = derived(key, b"versions")
        self._root = f"pp{VERSION}/{derived(key, b'deployment')[:6].hex()}"

    def of(self, key: FrameKey) -> At:
        """The paths of a frame."""
        name, levels = self._names.of(key), levels_of(self._names, key)
        return At(name, tuple(map(self._fence, levels)), f"{self._folder(levels)}/{name.exact.hex()}")

    def rest(self, at: At, lie: Lie) -> str:
        """The path of the rest of a version."""
        return f"{at.folder}/{hmac.digest(self._key, lie.about('rest'), sha256)[:8].hex()}"

    def fence(self, named: FrameScope) -> str:
        """The path of the narrowest fence around a scope. Other frames may be behind it too."""
        return self._fence(levels_around(self._names, named)[-1])

    def behind(self, named: FrameScope) -> str:
        """The beginning of the paths of all frames behind that fence; empty if it is a frame's."""
        levels = levels_around(self._names, named)
        return self._folder(levels) if len(levels) <= STUDY else ""

    def _fence(self, level: int) -> str:
        return f"{self._root}/purged/{level:016x}"

    def _folder(self, levels: tuple[int, ...]) -> str:
        return "/".join([f"{self._root}/frames", *(f"{level:016x}" for level in levels)])

"""The interface of the frame cache. No method is a coroutine, so each changes state in one step."""

from typing import Protocol

from proxy.cache.kept import Ledger
from proxy.cache.lifetimes import Stale
from proxy.cache.room import Room
from proxy.cache.shares import Shares
from proxy.cache.uses import Mark
from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope


class Store(Protocol):
    """A cache of frames, complete or prefixes, within a budget of bytes."""

    @property
    def room(self) -> Room:
        """The bytes outside the cache, which count against the same budget."""

    @property
    def ledger(self) -> Ledger:
        """The bytes of tables, which count against the same budget."""

    @property
    def shares(self) -> Shares:
        """The accounts of callers, to which the frames in memory are charged."""

    def get(self, key: FrameKey) -> Frame | None:
        """The fresh frame or its prefix, None if the cache holds nothing of it."""

    def mark(self, key: FrameKey) -> Mark:
        """A mark that counts as long as `get` returns for this key the same as now."""

    def use(self, key: FrameKey, mark: Mark) -> bool:
        """True if a mark of this key still counts. Then its frame is used, as if it came from `get`."""

    def stale(self, key: FrameKey) -> Frame | None:
        """A frame or prefix that may be used once the origin has revalidated it, None if there is none."""

    def if_error(self, key: FrameKey) -> Stale | None:
        """A frame or prefix that may be used if the origin fails, None if there is none."""

    def put(self, key: FrameKey, frame: Frame, caller: bytes = b"") -> None:
        """Replaces what the cache holds of a frame that a caller fetched, as far as the budget allows."""

    def drop(self, key: FrameKey) -> None:
        """Drops a frame."""

    def forget(self, named: FrameScope) -> None:
        """Drops all frames of a scope."""

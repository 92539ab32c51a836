"""Where frames are kept, as `retrieve` and `fill` see it. State changes in one step; nothing here waits."""

from typing import Protocol

from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope


class Store(Protocol):
    """Keeps frames, whole or prefixes, within a budget of bytes."""

    def get(self, key: FrameKey) -> Frame | None:
        """What is held of a frame."""

    def put(self, key: FrameKey, frame: Frame) -> None:
        """Keeps a frame as far as there is room, in place of what was held of it."""

    def drop(self, key: FrameKey) -> None:
        """Forgets a frame."""

    def forget(self, named: FrameScope) -> None:
        """Forgets all frames of a name."""

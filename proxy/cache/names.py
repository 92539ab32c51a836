"""An index of the keys in the cache by study and frame."""

from collections.abc import Iterable

from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from proxy.wire.resource import FrameResource


class Names:
    """An index of keys by study and frame, so that the keys of a scope are found without a full scan."""

    def __init__(self, keys: Iterable[FrameKey] = ()) -> None:
        self.size = 0
        """Number of keys in the index."""
        self._by_study: dict[tuple[str, str], dict[FrameResource, set[FrameKey]]] = {}
        for key in keys:
            self.add(key)

    def add(self, key: FrameKey) -> None:
        """Adds a key."""
        frames = self._by_study.setdefault((key.origin, key.resource.study), {})
        keys = frames.setdefault(key.resource, set())
        self.size += key not in keys
        keys.add(key)

    def take(self, named: FrameScope) -> list[FrameKey]:
        """Removes the keys of a scope from the index and returns them."""
        is_one = named.study and named.series and named.instance and named.frame_number
        one = FrameResource(named.study, named.series, named.instance, named.frame_number)
        taken: list[FrameKey] = []
        for study in [(named.origin, named.study)] if named.study else list(self._by_study):
            frames = self._by_study.get(study, {})
            for resource in [one] if is_one else list(frames):
                found = [key for key in frames.get(resource, ()) if named.has(key)]
                if found:
                    frames[resource].difference_update(found)
                    if not frames[resource]:
                        del frames[resource]
                taken += found
            if not frames:
                self._by_study.pop(study, None)
        self.size -= len(taken)
        return taken

"""The resolutions that are wanted of one frame in progress, until its bytes tell where they end."""

from collections.abc import Callable, Sequence

from proxy.codestream.reach import MOST_READ, ResolutionTarget, TargetEnd, locate, read_layout_leniently
from proxy.frame.frame import cut
from proxy.frame.identity import IDENTIFYING


class Reaches:
    """Asked, and asked again when as many bytes are there as it takes to know more."""

    def __init__(self, on_told: Callable[[ResolutionTarget, TargetEnd], None]) -> None:
        """`on_told` hears of each reach once."""
        self._on_told = on_told
        self._look_at: dict[ResolutionTarget, int] = {}
        self._told: dict[ResolutionTarget, TargetEnd] = {}

    def __bool__(self) -> bool:
        """True if one is not told yet."""
        return bool(self._look_at)

    def want(self, reach: ResolutionTarget) -> None:
        """One more."""
        if reach not in self._told:
            self._look_at.setdefault(reach, IDENTIFYING)

    def told(self, reach: ResolutionTarget) -> TargetEnd | None:
        """How many bytes one takes; None where it is not told yet."""
        return self._told.get(reach)

    def look(self, chunks: Sequence[bytes], size: int, total: int) -> dict[ResolutionTarget, int]:
        """How far to fetch for those that are not told yet, now that these `size` bytes are there."""
        due = [reach for reach, at in self._look_at.items() if size >= min(at, total)]
        layout = read_layout_leniently(b"".join(cut(chunks, 0, MOST_READ)), total) if due else None
        stops = dict(self._look_at)  # what is held may be too little to tell anything
        for reach in due:
            told = locate(reach, layout, size, total)
            stops[reach] = self._look_at[reach] = told.stop
            if told.is_final:
                del self._look_at[reach]
                self._told[reach] = told
                self._on_told(reach, told)
        return stops

"""The resolutions that are wanted of a frame while it is fetched, until its bytes show where they end."""

from collections.abc import Callable, Sequence

from proxy.codestream.reach import MOST_READ, ResolutionTarget, TargetEnd, locate, read_layout_leniently
from proxy.frame.frame import cut
from proxy.frame.identity import IDENTIFYING


class Reaches:
    """Targets whose ends are looked for again whenever enough new bytes are in."""

    def __init__(self) -> None:
        self._look_at: dict[ResolutionTarget, int] = {}
        self._told: dict[ResolutionTarget, TargetEnd] = {}

    def __bool__(self) -> bool:
        """True if the end of a target is not known yet."""
        return bool(self._look_at)

    def want(self, reach: ResolutionTarget) -> None:
        """Adds a target."""
        if reach not in self._told:
            self._look_at.setdefault(reach, IDENTIFYING)

    def told(self, reach: ResolutionTarget) -> TargetEnd | None:
        """The end of a target; None if it is not known yet."""
        return self._told.get(reach)

    def look(
        self,
        chunks: Sequence[bytes],
        size: int,
        total: int,
        on_told: Callable[[ResolutionTarget, TargetEnd], None],
    ) -> dict[ResolutionTarget, int]:
        """How far to fetch for each target whose end was not known, now that these `size` bytes are in.

        `on_told` is called once for each target, when its end is known.
        """
        due = [reach for reach, at in self._look_at.items() if size >= min(at, total)]
        layout = read_layout_leniently(b"".join(cut(chunks, 0, MOST_READ)), total) if due else None
        stops = dict(self._look_at)  # the bytes that are in may show no end
        for reach in due:
            told = locate(reach, layout, size, total)
            stops[reach] = self._look_at[reach] = told.stop
            if told.is_final:
                del self._look_at[reach]
                self._told[reach] = told
                on_told(reach, told)
        return stops

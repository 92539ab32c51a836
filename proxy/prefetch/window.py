"""The window of frames around the last requested one, to which a profile may limit a plan. Pure."""

from proxy.fetch.series import SeriesFrames
from proxy.wire.resource import FrameResource


def window_around(frames: SeriesFrames, window: int | None, last: FrameResource | None) -> range:
    """0-based positions within `window` frames of the last requested one. All positions if it is None."""
    if window is None:
        return range(len(frames))
    place = (frames.place_of(last) if last else None) or 0
    return range(max(0, place - window), min(len(frames), place + window + 1))


def has_moved(before: range, now: range) -> bool:
    """True if the window moved by more than half, so scrolling past one frame does not rebuild the plan."""
    return abs(now.start - before.start) + abs(now.stop - before.stop) > len(now) // 2

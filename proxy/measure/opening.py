"""Opens a study as a viewer does: it searches the study's series, reads metadata, and fetches one frame."""

import time
from dataclasses import dataclass, replace

from proxy.measure.network import Network
from proxy.measure.picture import check_status
from proxy.measure.viewer import Loaded, Viewer, Way, is_hit_of
from proxy.wire.resource import parse_frame_path

OPEN = "open a study"
"""The way that loads the lists of a study and one frame."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One opening."""

    lists: tuple[int, ...]
    """Bytes of each list, in order."""
    loaded: Loaded
    """The frame; its times begin with the first request for a list, and its sizes count the lists."""

    def limit(self, network: Network, frame: int) -> float:
        """Seconds that a network needs at least for the lists, one after the other, and bytes of a frame."""
        return sum(network.limit(size) for size in (*self.lists, frame))


def lists_of(path: str) -> tuple[str, str]:
    """The paths of what a viewer reads before a frame: the study's series, and the metadata of the frame's.

    >>> lists_of("studies/1/series/2/instances/3/frames/1")
    ('studies/1/series', 'studies/1/series/2/metadata')
    """
    of = parse_frame_path(path)
    return f"studies/{of.study}/series", f"studies/{of.study}/series/{of.series}/metadata"


async def open_study(viewer: Viewer, path: str, nonce: str) -> Opened:
    """Opens the study of a frame. The frame has this `nonce` in its query. Raises `OriginError`."""
    await viewer.warm((path,))
    began, sizes, hits = time.perf_counter(), list[int](), list[bool | None]()
    for each in lists_of(path):
        size, is_hit = await _read(viewer, each)
        sizes.append(size)
        hits.append(is_hit)
    took = time.perf_counter() - began
    loaded = await viewer.load((path,), Way.RANGE, nonce)
    hits.append(loaded.is_hit)
    whole = replace(
        loaded,
        first=took + loaded.first,
        seen=took + loaded.seen,
        final=took + loaded.final,
        first_bytes=sum(sizes) + loaded.first_bytes,
        size=sum(sizes) + loaded.size,
        is_hit=None if None in hits else all(hits),
    )
    return Opened(tuple(sizes), whole)


async def _read(viewer: Viewer, path: str) -> tuple[int, bool | None]:
    """Reads a list. Returns its bytes, and if it was a hit; None if the server does not say."""
    size = 0
    async with viewer.server.ask(path, {"Accept": "application/dicom+json"}) as response:
        check_status(response.status_code, (200, 204))
        async for chunk in response.aiter_raw():
            size += len(chunk)
    return size, is_hit_of(response.headers)

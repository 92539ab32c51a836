"""Finds frames to load at an origin, by search (PS3.18 10.6) and metadata (PS3.18 10.4).

It examines at most `MAX_STUDIES` studies and `MAX_SERIES` series, in the origin's order. If the archive is
large, name a study.
"""

from collections.abc import AsyncIterator

from proxy.errors import OriginMismatch
from proxy.measure.series import Series, Subject, choose, read_series
from proxy.measure.server import Server
from proxy.wire.dicomjson import SERIES, STUDY, checked, text_of
from proxy.wire.resource import FrameResource, parse_frame_path

MAX_STUDIES = 20
"""Studies to examine if none is named."""
MAX_SERIES = 100
"""Series to examine, in all studies together."""


async def find_subjects(
    server: Server, study: str | None = None, series: str | None = None
) -> tuple[Subject, ...]:
    """Returns the frame with the most pixels, and the series with the most frames. Raises `OriginError`.

    `study` and `series` are UIDs that restrict the search. Raises `BadResource` if one is not a UID.
    """
    for uid in (study, series):
        if uid is not None:
            parse_frame_path(FrameResource(uid, uid, uid, 1).path)
    found = [one async for one in _all_series(server, study, series)]
    if not found:
        wanted = "such study or series" if study or series else "study"
        raise OriginMismatch(f"{server.name} has no {wanted} with pictures", "empty")
    return choose(found)


async def _all_series(server: Server, study: str | None, series: str | None) -> AsyncIterator[Series]:
    studies = [study] if study else await _uids(server, "studies", STUDY)
    left = MAX_SERIES
    for each in studies[:MAX_STUDIES]:
        listed = await _uids(server, f"studies/{each}/series", SERIES)
        for one in [uid for uid in listed if series in (None, uid)][:left]:
            left -= 1
            metadata = await server.get_json(f"studies/{each}/series/{one}/metadata")
            if (read := read_series(each, one, metadata)) is not None:
                yield read


async def _uids(server: Server, path: str, tag: str) -> list[str]:
    uids = [uid for item in await server.get_json(path) if (uid := text_of(item, tag))]
    for uid in uids:
        checked(FrameResource(uid, uid, uid, 1).path)
    return uids

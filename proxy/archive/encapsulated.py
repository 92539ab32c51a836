"""Splits encapsulated pixel data into frames (PS3.5 A.4), or says why that is impossible.

An offset table counts only if every entry points to an item, no fragment precedes the first entry, and it has
as many entries as there are frames. Without a valid table there are two cases. If there are as many fragments
as frames, each fragment is a frame. Otherwise a frame begins at each fragment that starts a codestream. Empty
fragments are ignored. No other fragment is ever dropped, and two frames are never merged.
"""

import struct
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

from pydicom.encaps import parse_basic_offsets, parse_fragments

from proxy.errors import CodestreamError

ITEM = b"\xfe\xff\x00\xe0"
"""The start of encapsulated pixel data."""
RLE = "1.2.840.10008.1.2.5"
"""The transfer syntax whose frames have one fragment each (PS3.5 A.4.2)."""

_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")  # SOI; SOC and SIZ; a JP2 file

Fragments = dict[int, bytes]
"""Fragments by the offset of their item after the basic offset table."""


def frames_of(
    value: bytes, count: int, extended: tuple[bytes, bytes] | None, syntax: str
) -> tuple[bytes, ...]:
    """Returns `count` complete frames. Raises `CodestreamError`."""
    basic, fragments = _items(value)
    full = [fragment for fragment in fragments.values() if fragment]
    offsets, lengths = (_numbers(table) for table in extended or (b"", b""))
    for table in (offsets, basic):
        groups = _by_offsets(fragments, table)
        if groups is not None and len(groups) == count:
            break
        if groups is not None and len(groups) > 1 and len(full) != count:
            raise CodestreamError(f"the offset table has {len(groups)} frames, but NumberOfFrames is {count}")
    else:
        groups = [[each] for each in full] if len(full) == count or syntax == RLE else _by_beginnings(full)
        if len(groups) != count:
            raise CodestreamError(f"the pixel data has {len(groups)} frames, but NumberOfFrames is {count}")
    if any(fragment.startswith(_BEGINNINGS) for group in groups for fragment in group[1:]):
        raise CodestreamError(
            f"the pixel data has more codestreams than the {count} frames of NumberOfFrames"
        )
    frames = [b"".join(group) for group in groups]
    if len(lengths) == count:  # an extended table has lengths without padding
        frames = [
            frame[:size] if frame[size:] == b"\0" else frame
            for frame, size in zip(frames, lengths, strict=True)
        ]
    return tuple(frames)


def stream_of(value: bytes) -> bytes:
    """Joins all fragments, as for a video. Raises `CodestreamError`."""
    return b"".join(_items(value)[1].values())


def _items(value: bytes) -> tuple[list[int], Fragments]:
    """Returns the basic offset table and the fragments. Raises `CodestreamError`."""
    if not value.startswith(ITEM):
        raise CodestreamError("the pixel data is not in items, but the transfer syntax requires items")
    stream = BytesIO(value)
    try:
        basic = parse_basic_offsets(stream)
        start = stream.tell()
        _, places = parse_fragments(stream)
    except (ValueError, struct.error) as error:
        raise CodestreamError("the items of the pixel data are damaged") from error
    fragments = {}
    for place in places:
        size = int.from_bytes(value[place + 4 : place + 8], "little")
        fragments[place - start] = value[place + 8 : place + 8 + size]
        if len(fragments[place - start]) < size:
            raise CodestreamError("the pixel data ends inside an item")
    return basic, fragments


def _numbers(table: bytes) -> list[int]:
    return [number for (number,) in struct.iter_unpack("<Q", table[: len(table) // 8 * 8])]


def _by_offsets(fragments: Fragments, offsets: Sequence[int]) -> list[list[bytes]] | None:
    """Groups the fragments of each frame by a table of offsets; None if the table does not fit them."""
    is_rising = all(before < after for before, after in pairwise(offsets))
    if not offsets or not is_rising or not set(offsets) <= set(fragments):
        return None
    groups: dict[int, list[bytes]] = {offset: [] for offset in offsets}
    starts = iter((*offsets, None))
    frame, following = None, next(starts)
    for place, fragment in fragments.items():
        if place == following:
            frame, following = place, next(starts)
        if fragment and frame is None:
            return None
        if fragment and frame is not None:
            groups[frame].append(fragment)
    return list(groups.values()) if all(groups.values()) else None


def _by_beginnings(fragments: Sequence[bytes]) -> list[list[bytes]]:
    groups: list[list[bytes]] = []
    for fragment in fragments:
        if groups and not fragment.startswith(_BEGINNINGS):
            groups[-1].append(fragment)
        else:
            groups.append([fragment])
    return groups

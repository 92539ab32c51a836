"""Frames in items: a table counts if it fits, empty fragments are ignored, nothing is dropped silently."""

import struct

import pytest

from proxy.archive.encapsulated import frames_of
from proxy.errors import CodestreamError

JPEG, RLE, OTHER = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5", "1.2.3"
FIRST, SECOND, THIRD = (b"\xff\xd8\xff" + bytes((number,)) * 9 for number in (1, 2, 3))
MORE = b"rest of a frame "


def items(*fragments: bytes, offsets: tuple[int, ...] = ()) -> bytes:
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(each)) + each for each in (table, *fragments))


def extended(*offsets: int, lengths: tuple[int, ...] = ()) -> tuple[bytes, bytes]:
    return struct.pack(f"<{len(offsets)}Q", *offsets), struct.pack(f"<{len(lengths)}Q", *lengths)


def places(*fragments: bytes) -> list[int]:
    return [sum(8 + len(each) for each in fragments[:number]) for number in range(len(fragments))]


@pytest.mark.parametrize("empty", range(4))
@pytest.mark.parametrize("has_table", [False, True])
def test_empty_fragments_are_none(empty: int, has_table: bool) -> None:
    every = [FIRST, SECOND, THIRD]
    every.insert(empty, b"")
    at = [place for place, each in zip(places(*every), every, strict=True) if each]
    value = items(*every, offsets=tuple(at) if has_table else ())
    assert frames_of(value, 3, None, JPEG) == (FIRST, SECOND, THIRD)


def test_an_empty_frame_is_missed() -> None:
    value = items(FIRST, b"", THIRD, offsets=tuple(places(FIRST, b"", THIRD)))
    with pytest.raises(CodestreamError, match="has 2 frames, but NumberOfFrames is 3"):
        frames_of(value, 3, None, JPEG)


@pytest.mark.parametrize(
    "offsets", [(0, 19, 40), (0, 20, 20), (20, 40, 60), (40, 20, 0), (0, 20, 1 << 40), (0,)]
)
def test_offsets_that_point_beside_items_count_for_nothing(offsets: tuple[int, ...]) -> None:
    value = items(FIRST, SECOND, THIRD)
    assert frames_of(value, 3, extended(*offsets, lengths=(12,) * 3), JPEG) == (FIRST, SECOND, THIRD)
    basic = items(FIRST, SECOND, THIRD, offsets=tuple(offset % (1 << 32) for offset in offsets))
    assert frames_of(basic, 3, None, JPEG) == (FIRST, SECOND, THIRD)


@pytest.mark.parametrize("syntax", [JPEG, OTHER])
def test_frames_of_several_fragments_are_told_by_a_table(syntax: str) -> None:
    every = (FIRST, MORE, SECOND, MORE, MORE)
    at = places(*every)
    for value, table in (
        (items(*every, offsets=(at[0], at[2])), None),
        (items(*every), extended(at[0], at[2])),
        (items(*every, offsets=(at[0], at[2])), extended(1, 2)),
    ):
        assert frames_of(value, 2, table, syntax) == (FIRST + MORE, SECOND + MORE + MORE)


def test_without_a_table_a_frame_begins_where_a_codestream_does() -> None:
    assert frames_of(items(FIRST, MORE, SECOND, MORE), 2, None, JPEG) == (FIRST + MORE, SECOND + MORE)
    assert frames_of(items(FIRST, MORE, MORE), 1, None, JPEG) == (FIRST + MORE + MORE,)
    assert frames_of(items(MORE, MORE), 1, None, OTHER) == (MORE + MORE,)


def test_the_padding_that_an_extended_table_tells_is_cut_off() -> None:
    padded = FIRST[:-1] + b"\0"
    value, at = items(padded, SECOND), places(padded, SECOND)
    assert frames_of(value, 2, extended(*at, lengths=(11, 12)), JPEG) == (FIRST[:-1], SECOND)
    assert frames_of(value, 2, extended(*at, lengths=(3, 900)), JPEG) == (padded, SECOND)


@pytest.mark.parametrize(
    ("value", "count", "syntax"),
    [
        (items(FIRST, SECOND, THIRD), 1, JPEG),
        (items(FIRST, SECOND, THIRD), 2, JPEG),
        (items(FIRST, SECOND, THIRD), 4, JPEG),
        (items(FIRST, SECOND, offsets=(0,)), 1, JPEG),
        (items(FIRST, SECOND, THIRD, offsets=(0, 20)), 2, JPEG),
        (items(MORE, MORE, MORE, offsets=(0, 24)), 1, OTHER),
        (items(MORE, MORE), 1, RLE),
        (items(MORE, MORE, MORE), 2, OTHER),
        (items(), 1, JPEG),
        (items(b"", b""), 1, JPEG),
    ],
)
def test_frames_are_never_dropped_nor_made_of_two(value: bytes, count: int, syntax: str) -> None:
    with pytest.raises(CodestreamError, match="NumberOfFrames"):
        frames_of(value, count, None, syntax)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xd8\xff" * 9,
        items(FIRST)[:-1],
        items(FIRST)[:12],
        b"\xfe\xff\x00\xe0\x03\0\0\0abc" + items(FIRST),
        items() + b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
        items() + b"\xfe\xff\x00\xe0\0\0\0\x40abc",
        items(FIRST) + b"no item here",
        b"\xfe\xff\x00\xe0\x40\0\0\0",
    ],
    ids=range(9),
)
def test_items_that_are_damaged_are_an_error(value: bytes) -> None:
    with pytest.raises(CodestreamError, match=r"items|inside an item|NumberOfFrames"):
        frames_of(value, 1, None, JPEG)

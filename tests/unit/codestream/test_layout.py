"""The ends of resolutions agree with what a decoder makes of prefixes, and across methods."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from proxy.codecs.htj2k import complete_reduce, encode_htj2k
from proxy.codestream.layout import Layout, read_layout
from proxy.codestream.limits import Budget
from proxy.codestream.tileparts import packet_lengths, read_sot, read_tile_part
from proxy.errors import CodestreamError
from tests.codestreams import (
    CORNER,
    GREY,
    HT,
    ORDERS,
    PART_1,
    PARTS,
    PRECINCTS,
    SMALL,
    first_same,
    grok,
    htj2k,
    made,
    ojph,
    picture,
)  # fmt: skip

pytestmark = pytest.mark.slow

ZEROS = ("corner", "1x1", "1x300", "300x1", "5x7", "33x2", "imagecodecs-grey-6", "lossy")
"""Codestreams whose packets are empty or hold only zeros, so that any prefix decodes to zeros."""


def layout_of(codestream: bytes) -> Layout:
    layout = read_layout(codestream)
    assert layout is not None
    return layout


@pytest.mark.parametrize("name", HT)
def test_a_resolution_ends_where_a_decoder_first_needs_no_more(name: str) -> None:
    layout, needed = layout_of(made(name)), first_same(name)
    assert layout.reason == ""
    assert len(layout.ends) == len(layout.sizes) == len(needed)
    for end, first in zip(layout.ends, needed, strict=True):
        assert end is not None
        assert end == first or (end > first and any(word in name for word in ZEROS)), (layout.ends, needed)


@pytest.mark.parametrize("name", [*HT, *PART_1])
def test_the_last_packet_ends_where_eoc_begins(name: str) -> None:
    layout = layout_of(made(name))
    assert layout.ends[-1] == len(made(name)) - 2
    assert layout.total == len(made(name))
    assert all(a is not None and b is not None and a <= b for a, b in pairwise(layout.ends))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mode", [5, 64])
@pytest.mark.parametrize("options", [(), PRECINCTS, ("-S", "-E")], ids=["plain", "precincts", "sop-eph"])
def test_packets_are_as_long_as_plt_says(order: str, mode: int, options: tuple[str, ...]) -> None:
    walked = layout_of(grok(GREY, "-p", order, *options, mode=mode))
    named = layout_of(grok(GREY, "-p", order, *options, "-L", mode=mode))
    assert (walked.method, named.method) == ("walk", "plt")
    assert walked.total is not None
    assert named.total is not None
    longer = named.total - walked.total
    assert [end and end + longer for end in walked.ends] == list(named.ends)


@pytest.mark.parametrize("order", ["RLCP", "RPCL"])
@pytest.mark.parametrize("mode", [0, 64])
def test_resolutions_end_with_their_tile_parts(order: str, mode: int) -> None:
    layers = () if mode else ("-q", "50,70,90")
    codestream = grok(GREY, "-p", order, "-u", "R", *layers, mode=mode)
    layout = layout_of(codestream)
    assert layout.method == "walk"
    at, ends = layout.header.length, []
    for _ in layout.ends:
        at += read_sot(codestream, at).length
        ends.append(at)
    assert list(layout.ends) == ends


@pytest.mark.parametrize("name", ["grey", "colour", "signed", "corner"])
def test_tlm_and_packets_tell_the_same(name: str) -> None:
    walked, named = (layout_of(made(f"imagecodecs-{name}-{way}")) for way in ("plain", "parts"))
    assert (walked.method, named.method) == ("walk", "tlm")
    header = named.header.length - walked.header.length
    for number, (end, other) in enumerate(zip(walked.ends, named.ends, strict=True)):
        assert end is not None
        assert other == end + header + 14 * number  # one more SOT and SOD each time


def test_tlm_tells_before_the_first_tile_part() -> None:
    codestream = encode_htj2k(GREY)
    length = layout_of(codestream).header.length
    assert read_layout(codestream[: length + 1]) is None
    assert read_layout(codestream[: length + 2]) == layout_of(codestream)


def test_plt_tells_ends_that_are_far_away() -> None:
    codestream = grok(GREY, "-L", "-p", "RPCL")
    whole = layout_of(codestream)
    have = next(part.start for part in [read_tile_part(codestream, whole.header.length, Budget())])
    assert layout_of(codestream[: have - 1]).ends == (None,) * 6
    assert layout_of(codestream[:have]) == whole


def test_with_one_packet_a_resolution_the_next_end_is_known_from_its_packet_header() -> None:
    codestream = htj2k(picture(512, 512))
    whole = layout_of(codestream)
    for end, following in pairwise(whole.ends):
        assert end is not None
        assert following is not None
        held = layout_of(codestream[: end + (following - end) // 20 + 8])
        assert following in held.ends


def test_of_three_components_the_last_packet_header_is_needed() -> None:
    codestream = htj2k(picture(90, 131, 3))
    whole = layout_of(codestream)
    assert whole.ends[2] is not None
    assert whole.ends[3] is not None
    assert layout_of(codestream[: whole.ends[2] + 60]).ends[3] is None


@pytest.mark.parametrize(
    ("maker", "options"),
    [
        (htj2k, ()),
        (ojph, ("-precincts", "{32,32},{16,16}", "-block_size", "{8,8}")),
        (ojph, ("-tile_size", "{32,32}", "-prog_order", "CPRL")),
        (grok, ("-S", "-E", "-p", "PCRL", "-n", "3")),
        (grok, ("-L", "-u", "R", "-S", "-n", "4")),
    ],
)
def test_byte_by_byte_an_end_that_is_known_stays(maker: Any, options: tuple[str, ...]) -> None:
    codestream = maker(SMALL, *options)
    whole, known = layout_of(codestream), 0
    for have in range(len(codestream) + 1):
        layout = read_layout(codestream[:have])
        if layout is None:
            assert have < whole.header.length + 2
            continue
        assert layout.reason == ""
        for end, last in zip(layout.ends, whole.ends, strict=True):
            assert last is not None
            assert end == last or (end is None and have < last)
        count = len(layout.ends) - layout.ends.count(None)
        assert count >= known
        known = count
        assert layout.finest(have) == max(
            (r for r, e in enumerate(whole.ends) if e and e <= have), default=None
        )
    assert known == len(whole.ends)


@pytest.mark.parametrize("options", [{}, PARTS, {"tile": (16, 16)}])
def test_what_follows_the_codestream_changes_nothing(options: dict[str, Any]) -> None:
    codestream = htj2k(SMALL, 2, **options)
    assert read_layout(codestream + b"\0" * 7) == read_layout(codestream)


def test_the_total_is_the_codestreams_own_or_else_as_given() -> None:
    codestream = htj2k(SMALL)
    length = layout_of(codestream).header.length
    assert layout_of(codestream[: length + 2]).total is None
    given = read_layout(codestream[: length + 2], 12345)
    assert given is not None
    assert given.total == 12345
    own = read_layout(codestream[: length + 20], 12345)
    assert own is not None
    assert own.total == len(codestream)


def test_sizes_are_those_that_a_decoder_makes() -> None:
    layout = layout_of(htj2k(picture(301, 77)))
    assert layout.sizes == ((3, 10), (5, 19), (10, 38), (20, 76), (39, 151), (77, 301))


def test_a_tiled_codestream_ends_its_resolutions_late() -> None:
    layout = layout_of(htj2k(GREY, 3, tile=(64, 64), **PARTS))
    assert layout.header.tiles == 12
    assert layout.method == "walk"
    assert layout.total is not None
    assert layout.ends[0] is not None
    assert layout.ends[0] > layout.total * 0.9


def test_the_pictures_of_a_big_series_are_told_alike_by_tlm_packets_and_a_decoder() -> None:
    pixels = np.kron(picture(300, 300), np.ones((5, 5), "u2")) + picture(1500, 1500) // 8
    codestream = encode_htj2k(pixels)
    walked, named = layout_of(htj2k(pixels)), layout_of(codestream)
    assert walked.ends[-1] == len(htj2k(pixels)) - 2
    for have in (16384, 65536, 262144):
        finest = named.finest(have)
        reduce = complete_reduce(codestream, have)
        assert finest is not None
        assert reduce == named.header.decompositions - finest


def test_empty_packets_end_too() -> None:
    layout = layout_of(grok(np.zeros_like(CORNER), "-n", "4", "-p", "RPCL"))
    assert layout.ends[-1] is not None


def test_what_is_no_codestream_is_refused() -> None:
    with pytest.raises(CodestreamError):
        read_layout(b"\x89PNG")


def test_lengths_of_plt_may_be_split_over_segments() -> None:
    codestream = grok(GREY, "-L", "-n", "3", "-p", "RPCL")
    layout = layout_of(codestream)
    part = read_tile_part(codestream, layout.header.length, Budget())
    assert sum(packet_lengths(part)) == len(codestream) - 2 - part.start
    body = part.lengths[0]
    split = codestream[: part.start]
    at = split.index(b"\xff\x58")
    half = [body[:2], b"\x01" + body[2:]]
    segments = b"".join(b"\xff\x58" + (len(each) + 2).to_bytes(2, "big") + each for each in half)
    longer = bytearray(split[:at] + segments + b"\xff\x93" + codestream[part.start :])
    psot = layout.header.length + 6
    longer[psot : psot + 4] = (part.sot.length + 5).to_bytes(4, "big")
    assert layout_of(bytes(longer)).ends == tuple(end and end + 5 for end in layout.ends)

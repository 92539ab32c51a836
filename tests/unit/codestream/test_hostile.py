"""Odd, damaged or hostile codestreams yield a result within bounds, or `CodestreamError`."""

import contextlib
import random
import struct
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest

from proxy.codestream.bits import Bits
from proxy.codestream.cutting import cut_full, cut_reduced, reduced_length
from proxy.codestream.layout import Layout, read_layout
from proxy.codestream.limits import MAX_WORK, Budget
from proxy.codestream.markers import COC, COD, POC, PPM, PPT, QCD
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError
from tests.codestreams import (
    GREY,
    SMALL,
    bases,
    grok,
    htj2k,
    in_main_header,
    in_tile_part,
    joined,
    main_header,
    mutant,
    picture,
    segment,
)

pytestmark = pytest.mark.slow

MUTANTS = 10_000
"""`python -m tests.bench layout` makes ten times as many."""


def layout_of(codestream: bytes) -> Layout:
    layout = read_layout(codestream)
    assert layout is not None
    return layout


def changed(codestream: bytes, marker: int, at: int, value: bytes) -> bytes:
    """Replaces bytes in the body of the first such segment."""
    start = codestream.index(struct.pack(">H", marker)) + 4 + at
    return codestream[:start] + value + codestream[start + len(value) :]


def look(codestream: bytes) -> None:
    """Calls every function of the package on a codestream."""
    fault_of(codestream)
    layout = read_layout(codestream)
    if layout is None:
        return
    known = [end for end in layout.ends if end is not None]
    assert all(a <= b for a, b in pairwise(known))
    assert layout.ends == (*known, *[None] * (len(layout.ends) - len(known)))
    for work in (reduced_length, cut_reduced, cut_full):
        with contextlib.suppress(CodestreamError):
            work(codestream, max(0, len(known) - 1), layout)


def test_mutants_are_answered_or_refused() -> None:
    rng, refused = random.Random(6), 0
    for number in range(MUTANTS):
        damaged = mutant(bases()[number % len(bases())], rng)
        try:
            look(damaged)
        except CodestreamError:
            refused += 1
    assert MUTANTS / 20 < refused < MUTANTS * 2 / 3


def test_what_a_damaged_codestream_once_said_it_keeps_to() -> None:
    rng = random.Random(7)
    for number in range(300):
        damaged = mutant(bases()[number % len(bases())], rng)
        known: dict[int, int] = {}
        for have in range(100, len(damaged), 61):
            try:
                layout = read_layout(damaged[:have])
            except CodestreamError:
                break
            now = {r: end for r, end in enumerate(layout.ends) if end is not None} if layout else {}
            assert {r: now.get(r) for r in known} == known
            known = now


@pytest.mark.parametrize(
    ("codestream", "why"),
    [
        (in_main_header(htj2k(SMALL), segment(POC, bytes(7))), "POC"),
        (in_main_header(htj2k(SMALL), segment(PPM, bytes(7))), "PPM"),
        (in_tile_part(htj2k(SMALL), segment(PPT, bytes(7))), "PPT"),
        (in_tile_part(htj2k(SMALL), segment(COD, bytes(7))), "COD inside a tile"),
        (in_tile_part(htj2k(SMALL), segment(COC, bytes(7))), "COC inside a tile"),
        (in_tile_part(htj2k(SMALL), segment(QCD, bytes(7))), "QCD inside a tile"),
        (in_tile_part(htj2k(SMALL), segment(POC, bytes(7))), "POC inside a tile"),
        (changed(htj2k(SMALL), COD, 8, b"\xc0"), "both kinds"),
        (changed(htj2k(SMALL), COD, 2, b"\0\2"), "several layers"),
    ],
)
def test_what_can_not_be_told_says_why(codestream: bytes, why: str) -> None:
    layout = layout_of(codestream)
    assert layout.method == "unknown"
    assert layout.ends == (None,) * 6
    assert why in layout.reason
    with pytest.raises(CodestreamError, match="it can't be cut: .*" + why):
        cut_reduced(codestream, 0)
    early = read_layout(codestream[: main_header(codestream).length + 6])
    assert early is not None
    assert early.ends == layout.ends


def test_components_may_differ_in_resolutions_and_are_halved_together() -> None:
    pictures = [picture(90, 120, seed=seed) for seed in range(3)]
    codestream = joined(htj2k(pictures[0], 3), htj2k(pictures[1], 5), htj2k(pictures[2], 4))
    assert np.array_equal(imagecodecs.jpeg2k_decode(codestream, planar=False), np.stack(pictures, axis=2))
    layout = layout_of(codestream)
    assert layout.header.decompositions == 3
    assert layout.ends[-1] == len(codestream) - 2
    for end, reduce in zip(layout.ends, (3, 2, 1, 0), strict=True):
        assert end is not None
        whole, prefix, less = (
            imagecodecs.htj2k_decode(each, planar=False, skipres=reduce, resilient=True)
            for each in (codestream, codestream[:end], codestream[: end - 1])
        )
        assert np.array_equal(whole, prefix)
        assert not np.array_equal(whole, less)
    with pytest.raises(CodestreamError, match="different decompositions"):
        cut_reduced(codestream, 1)


def test_a_tile_part_without_a_length_goes_on() -> None:
    codestream = htj2k(SMALL)
    at = main_header(codestream).length
    endless = codestream[: at + 6] + bytes(4) + codestream[at + 10 :]
    layout = layout_of(endless)
    assert layout.ends == layout_of(codestream).ends
    assert layout.total is None
    assert cut_reduced(endless, 2) == cut_reduced(codestream, 2)


def test_a_codestream_that_ends_before_its_packets_says_so() -> None:
    codestream = htj2k(SMALL)
    at, ends = main_header(codestream).length, layout_of(codestream).ends
    assert ends[2] is not None
    psot = struct.pack(">I", ends[2] - at)
    short = codestream[: at + 6] + psot + codestream[at + 10 : ends[2]] + b"\xff\xd9"
    layout = layout_of(short)
    assert layout.ends == (*ends[:3], None, None, None)
    assert layout.reason == f"there is no tile-part at byte {ends[2]}"
    assert layout.method == "walk"


def test_damage_in_a_packet_header_leaves_what_was_known() -> None:
    codestream = htj2k(GREY)
    ends = layout_of(codestream).ends
    assert ends[2] is not None
    damaged = codestream[: ends[2]] + b"\xff\xff" + codestream[ends[2] + 2 :]
    layout = layout_of(damaged)
    assert layout.ends == (*ends[:3], None, None, None)
    assert layout.reason == f"no packet header at byte {ends[2] + 1}"


@pytest.mark.parametrize("order", ["LRCP", "RPCL"])
def test_lengths_that_leave_their_tile_part_are_not_believed(order: str) -> None:
    codestream = grok(GREY, "-L", "-p", order)
    at = codestream.index(b"\xff\x58") + 5
    layout = layout_of(codestream[:at] + b"\xff\xff\x7f" + codestream[at + 3 :])
    assert layout.reason == "a packet extends past its tile-part"
    assert layout.ends == (None,) * 6


def test_a_packet_header_that_ends_in_ff_is_followed_by_a_byte_of_stuffing() -> None:
    bits = Bits(b"\xff\x7f\xff\x00\x55", 0, 5)
    assert bits.take(16) == 0xFFFF
    assert bits.zeros(2) == 0
    bits.align()
    assert bits.at == 4
    assert bits.take(8) == 0x55


def test_a_tile_that_there_is_not_is_refused() -> None:
    codestream = htj2k(SMALL)
    at = main_header(codestream).length
    assert "tile 7" in layout_of(codestream[: at + 4] + b"\0\7" + codestream[at + 6 :]).reason


def hostile_size(width: int, height: int, tile: int, components: int) -> bytes:
    size = struct.pack(">H8IH", 0x4000, width, height, 0, 0, tile, tile, 0, 0, components)
    return segment(0xFF51, size + b"\x0f\1\1" * components)


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("precinct", [b"", b"\x00" + b"\x11" * 32, b"\x0f" + b"\x1f" * 32])
@pytest.mark.parametrize("width", [65535, (1 << 32) - 1])
@pytest.mark.parametrize("components", [1, 300])
@pytest.mark.parametrize("body", [bytes(3000), b"\x80" * 3000])
def test_giant_pictures_are_told_of_in_bounds(
    order: int, precinct: bytes, width: int, components: int, body: bytes
) -> None:
    layers = 1 if components == 1 else 0xFF00
    style = struct.pack(">BBHB5B", bool(precinct), order, layers, 1, 32, 0, 0, 0, 1) + precinct
    codestream = (
        b"\xff\x4f"
        + hostile_size(width, width, width, components)
        + segment(COD, style)
        + struct.pack(">HHHIBBH", 0xFF90, 10, 0, 14 + len(body), 0, 1, 0xFF93)
        + body
    )
    assert None in layout_of(codestream).ends


def test_more_work_than_is_allowed_is_refused_before_it_is_done() -> None:
    budget = Budget()
    budget.spend(MAX_WORK)
    with pytest.raises(CodestreamError, match=str(MAX_WORK)):
        budget.spend(1)


def test_blocks_by_the_million_are_not_looked_at() -> None:
    style = bytes((0, 2, 0, 1, 0, 5, 0, 0, 0, 1))  # blocks of 4x4
    codestream = b"\xff\x4f" + hostile_size(60000, 60000, 60000, 1) + segment(COD, style)
    codestream += struct.pack(">HHHIBBH", 0xFF90, 10, 0, 0, 0, 1, 0xFF93) + b"\x80" * 1000
    assert str(MAX_WORK) in layout_of(codestream).reason


def test_tile_parts_by_the_million_are_not_looked_at() -> None:
    codestream = htj2k(SMALL)
    at = main_header(codestream).length
    empty = struct.pack(">HHHIBBH", 0xFF90, 10, 0, 14, 0, 0, 0xFF93)
    many = codestream[:at] + empty * 200_000
    assert str(MAX_WORK) in layout_of(many).reason
    assert fault_of(many + b"\xff\xd9")

"""Pictures cut out of prefixes decode in OpenJPH and in OpenJPEG."""

from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import decode_htj2k, encode_htj2k
from proxy.codestream.cutting import cut_full, cut_reduced, plan_full, plan_reduced, reduced_length
from proxy.codestream.header import read_header
from proxy.codestream.layout import read_layout
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError
from tests.codestreams import (
    COLOUR,
    GREY,
    HT,
    ORDERS,
    PARTS,
    PRECINCTS,
    Pixels,
    grok,
    htj2k,
    made,
    ojph,
    picture,
)  # fmt: skip


def can_be_cut(name: str) -> bool:
    # OpenJPH's program makes four tiles if a picture has an offset.
    is_tiled = "tiles" in name or ("ojph" in name and "offset" in name)
    goes_by_place = "PCRL" in name or "CPRL" in name
    return not is_tiled and not (
        goes_by_place and ("colour" in name or "precincts" in name or "offset" in name)
    )


CAN = [name for name in HT if can_be_cut(name)]


def by_openjpeg(codestream: bytes) -> Pixels:
    found: Pixels = np.squeeze(imagecodecs.jpeg2k_decode(codestream, planar=False))
    return found


@pytest.mark.parametrize("name", CAN)
def test_what_is_cut_is_whole_and_decodes_to_the_same_pixels(name: str) -> None:
    codestream = made(name)
    layout = read_layout(codestream)
    assert layout is not None
    for resolution, end in enumerate(layout.ends):
        prefix, reduce = codestream[:end], len(layout.ends) - 1 - resolution
        same = decode_htj2k(codestream, reduce)
        small, full = cut_reduced(prefix, resolution), cut_full(prefix, resolution)
        assert np.array_equal(decode_htj2k(small), same)
        assert np.array_equal(decode_htj2k(full, reduce), same)
        if "lossy" not in name:  # the two decoders round differently
            assert np.array_equal(by_openjpeg(small), np.squeeze(same))
            assert np.array_equal(by_openjpeg(full), np.squeeze(decode_htj2k(full)))
        for cut in (small, full):
            again = read_layout(cut)
            assert again is not None
            assert fault_of(cut) == ""
            assert (again.method, again.total, again.ends[-1]) == ("tlm", len(cut), len(cut) - 2)
            assert again.sizes[: resolution + 1] == layout.sizes[: resolution + 1]


def test_what_is_cut_of_an_htj2k_lossless_rpcl_is_one() -> None:
    codestream = encode_htj2k(picture(301, 500))
    for resolution in range(6):
        for cut in (cut_reduced(codestream, resolution), cut_full(codestream, resolution)):
            header = read_header(cut)
            assert header is not None
            assert header.reasons == ()


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_that_is_rpcl_by_another_name_is_called_so(order: str) -> None:
    grey = read_header(cut_reduced(ojph(GREY, "-prog_order", order), 2))
    assert grey is not None
    assert grey.reasons == ()


def test_the_last_resolution_of_a_plain_codestream_is_the_same_with_tlm_and_tile_parts() -> None:
    plain, parts = read_layout(cut_reduced(htj2k(GREY), 5)), read_layout(htj2k(GREY, **PARTS))
    assert plain is not None
    assert parts is not None
    assert plain.ends == parts.ends


def test_sop_and_eph_stay_where_they_were() -> None:
    codestream = grok(GREY, "-S", "-E", "-p", "RPCL", *PRECINCTS)
    layout = read_layout(codestream)
    assert layout is not None
    assert layout.ends[3] is not None
    prefix = codestream[: layout.ends[3]]
    small = cut_reduced(prefix, 3)
    for marker in (b"\xff\x91\x00\x04", b"\xff\x92"):
        assert small.count(marker) == prefix.count(marker) > 4
    full = cut_full(prefix, 3)
    assert full.count(b"\xff\x92") == codestream.count(b"\xff\x92")


def test_plt_is_left_out() -> None:
    codestream = grok(GREY, "-L", "-p", "RPCL", "-u", "R")
    assert b"\xff\x58" in codestream
    assert b"\xff\x58" not in cut_reduced(codestream, 4)


@pytest.mark.parametrize("options", [{}, PARTS])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_the_length_is_told_as_early_as_the_end_and_never_changes(
    pixels: Pixels, options: dict[str, Any]
) -> None:
    codestream = htj2k(pixels, 3, **options)
    layout = read_layout(codestream)
    assert layout is not None
    for resolution, end in enumerate(layout.ends):
        assert end is not None
        length = len(cut_reduced(codestream[:end], resolution))
        told = [reduced_length(codestream[:have], resolution) for have in range(0, end + 1, 61)]
        assert set(told) <= {None, length}
        assert all(a is None or b is not None for a, b in pairwise(told))
        assert reduced_length(codestream[:end], resolution) == length
        assert told[-1] == length


def test_pieces_are_in_order_and_the_same_from_every_prefix() -> None:
    codestream = htj2k(GREY, 3)
    layout = read_layout(codestream)
    assert layout is not None
    assert layout.ends[2] is not None
    early = plan_reduced(codestream[: layout.ends[1]], 1)
    assert early is not None
    assert early == plan_reduced(codestream, 1)
    spans = [piece for piece in early.pieces if isinstance(piece, tuple)]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    full = plan_full(codestream[: layout.ends[2]], 2)
    assert full is not None
    assert len(full.of(codestream)) == full.length


def test_a_prefix_that_does_not_hold_the_resolution_is_not_cut() -> None:
    for codestream in (htj2k(GREY), htj2k(GREY, **PARTS)):
        layout = read_layout(codestream)
        assert layout is not None
        assert layout.ends[3] is not None
        for have in (10, 140, layout.ends[2], layout.ends[3] - 1):
            for cut in (cut_reduced, cut_full):
                with pytest.raises(CodestreamError, match="does not hold"):
                    cut(codestream[:have], 3)
        assert plan_reduced(codestream[:10], 3) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("imagecodecs-grey-tiles", "tiles"),
        ("ojph-colour-PCRL-plain", "go by PCRL"),
        ("grok-grey-CPRL-plt-precincts", "go by CPRL"),
    ],
)
def test_what_does_not_go_by_resolution_is_not_cut(name: str, why: str) -> None:
    with pytest.raises(CodestreamError, match=why):
        cut_reduced(made(name), 0)


def test_tile_parts_other_than_tlm_names_are_not_cut() -> None:
    codestream = htj2k(GREY, 1, **PARTS)
    at = codestream.index(b"\xff\x55") + 6
    first, second = (int.from_bytes(codestream[at + n : at + n + 6], "big") for n in (0, 6))
    moved = (first + 1).to_bytes(6, "big") + (second - 1).to_bytes(6, "big")
    with pytest.raises(CodestreamError, match="TLM"):
        cut_reduced(codestream[:at] + moved + codestream[at + 12 :], 0)


@pytest.mark.parametrize("resolution", [-1, 6])
def test_a_resolution_that_there_is_not_is_a_mistake(resolution: int) -> None:
    with pytest.raises(ValueError, match="resolutions are 0 to 5"):
        cut_reduced(htj2k(GREY), resolution)


def test_a_big_picture_is_cut_from_its_first_64_kib() -> None:
    pixels = np.kron(picture(300, 300), np.ones((5, 5), "u2")) + picture(1500, 1500) // 8
    codestream = encode_htj2k(pixels)
    prefix = codestream[:65536]
    layout = read_layout(prefix)
    assert layout is not None
    finest = layout.finest(65536)
    assert finest is not None
    same = decode_htj2k(codestream, len(layout.ends) - 1 - finest)
    assert np.array_equal(by_openjpeg(cut_reduced(prefix, finest, layout)), same)
    with pytest.raises(imagecodecs.Jpeg2kError):
        by_openjpeg(prefix)


def test_colour_keeps_its_three_components() -> None:
    codestream = encode_htj2k(COLOUR)
    assert np.array_equal(by_openjpeg(cut_reduced(codestream, 5)), COLOUR)

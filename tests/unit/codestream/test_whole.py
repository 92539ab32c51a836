from itertools import pairwise

import pytest

from proxy.codestream.header import read_header
from proxy.codestream.tileparts import read_sot
from proxy.codestream.whole import fault_of, is_whole
from tests.codestreams import GREY, HT, PART_1, PARTS, SMALL, htj2k, made

EOC = b"\xff\xd9"


def tile_parts(codestream: bytes) -> list[int]:
    """Offsets of the tile-parts, and of EOC."""
    header = read_header(codestream)
    assert header is not None
    at = header.length
    found = [at]
    while not codestream.startswith(EOC, at):
        at += read_sot(codestream, at).length
        found.append(at)
    return found


@pytest.mark.parametrize("name", [*HT, *PART_1])
def test_what_an_encoder_wrote_is_whole_and_what_was_cut_off_is_not(name: str) -> None:
    codestream = made(name)
    assert fault_of(codestream) == ""
    assert is_whole(codestream + b"\0")  # PS3.5 A.4: to an even length
    for have in {
        *range(0, len(codestream), 97),
        *tile_parts(codestream),
        *range(len(codestream) - 20, len(codestream)),
    }:
        assert not is_whole(codestream[:have]), have


@pytest.mark.parametrize(
    "options", [{}, {"tlm": True}, PARTS, {"tile": (16, 16)}, {"tile": (16, 16), **PARTS}]
)
def test_every_truncation_is_noticed(options: dict[str, object]) -> None:
    codestream = htj2k(SMALL, 2, **options)
    assert is_whole(codestream)
    assert [have for have in range(len(codestream)) if is_whole(codestream[:have])] == []


@pytest.mark.parametrize(
    "options", [{}, {"tlm": True}, PARTS, {"tile": (16, 16)}, {"tile": (16, 16), **PARTS}]
)
def test_an_eoc_after_the_cut_does_not_help(options: dict[str, object]) -> None:
    codestream = htj2k(SMALL, 2, **options)
    cuts = [have for have in range(len(codestream) - 2) if is_whole(codestream[:have] + EOC)]
    assert cuts == []


def test_tile_parts_that_are_missing_are_noticed_without_tlm() -> None:
    codestream = htj2k(GREY, 3, tilepart=PARTS["tilepart"])
    starts = tile_parts(codestream)
    assert len(starts) == 5
    assert read_header(codestream).tile_parts == ()  # type: ignore[union-attr]  # it is no prefix
    for start, stop in pairwise(starts):
        assert not is_whole(codestream[:start] + codestream[stop:])


def test_a_tile_part_without_a_length_goes_up_to_eoc() -> None:
    codestream = htj2k(SMALL)
    start = tile_parts(codestream)[0]
    endless = codestream[: start + 6] + bytes(4) + codestream[start + 10 :]
    assert is_whole(endless)
    assert is_whole(endless + b"\0")
    assert fault_of(endless[:-1]) == "it does not end with EOC"


@pytest.mark.parametrize("tail", [b"\0\0", b"\1", EOC, b"\xff"])
def test_more_than_one_pad_byte_is_too_much(tail: bytes) -> None:
    assert fault_of(htj2k(SMALL) + tail)


def test_tile_parts_other_than_tlm_names_are_noticed() -> None:
    codestream = htj2k(SMALL, **PARTS)
    first, second, *_ = tile_parts(codestream)
    at = codestream.index((second - first).to_bytes(4, "big"))
    other = codestream[:at] + (second - first + 1).to_bytes(4, "big") + codestream[at + 4 :]
    assert fault_of(other) == "its tile-parts do not match TLM"


def test_what_is_no_codestream_is_not_whole() -> None:
    assert fault_of(b"") == "it ends in its main header"
    assert "SOC" in fault_of(b"GIF89a")

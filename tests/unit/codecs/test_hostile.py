"""A broken or hostile frame costs its own viewer an error, and costs the service nothing."""

import struct
import time
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.decode import decode_stored
from proxy.codecs.workers import Workers
from proxy.codestream.markers import COD, QCD, SIZ
from proxy.errors import CodestreamError, NotMade
from tests.codestreams import PARTS, htj2k, picture
from tests.hostile import HTJ2K, JPEG, JPEG_2000, JPEG_LS, RLE, Whole, jobs, outcomes, told, wholes

JOBS = 400
"""`python -m tests.bench hostile` makes five times as many."""
LEAST_OF_EACH = {"picture": 50, "CodestreamError": 150, "NotMade": 50}


@pytest.mark.anyio
async def test_each_costs_an_error_or_is_a_picture_as_the_metadata_says() -> None:
    async with Workers(2, 2 << 30, 240) as workers:
        found = await outcomes(workers, jobs(JOBS), at_once=4)
        assert len(workers.running) <= 2
    assert (found.wrong, found.lost, found.mute) == ([], [], 0)
    assert found.counts.total() == JOBS
    assert all(found.counts[name] >= least for name, least in LEAST_OF_EACH.items()), found.counts
    assert not workers.running


def first(syntax: str, samples: int = 1) -> Whole:
    return next(each for each in wholes() if (each.syntax, each.pixel.samples) == (syntax, samples))


def refused(content: bytes, whole: Whole, why: str) -> None:
    with pytest.raises(CodestreamError, match=why):
        decode_stored(content, whole.syntax, whole.pixel)


@pytest.mark.parametrize(("syntax", "samples"), [(JPEG, 3), (JPEG_LS, 1), (JPEG_LS, 3)])
def test_a_jpeg_that_was_cut_is_refused_at_once(syntax: str, samples: int) -> None:
    whole, began = first(syntax, samples), time.thread_time()
    for stop in range(len(whole.content) - 1):
        refused(whole.content[:stop], whole, "no end marker|no frame header")
    assert time.thread_time() - began < 5, "CharLS alone takes ten seconds for one of them"


@pytest.mark.parametrize("syntax", [JPEG, JPEG_LS, JPEG_2000, HTJ2K])
@pytest.mark.parametrize("lie", [{"rows": 65535}, {"columns": 1}, {"samples": 3}], ids=str)
def test_another_picture_than_the_metadata_says_is_not_decoded(syntax: str, lie: dict[str, Any]) -> None:
    whole = first(syntax)
    refused(whole.content, replace(whole, pixel=replace(whole.pixel, **lie)), "but the metadata says")


@pytest.mark.parametrize("number", [0, 2, 4, 15, 1 << 31])
def test_rle_has_as_many_segments_as_the_metadata_says(number: int) -> None:
    whole = first(RLE, 3)
    refused(number.to_bytes(4, "little") + whole.content[4:], whole, "segments")


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("offset", [0, 63, 1 << 20, 0xFFFFFFFF])
def test_segments_of_rle_lie_inside_the_frame(place: int, offset: int) -> None:
    whole = first(RLE, 3)
    content = whole.content[: 4 * place] + offset.to_bytes(4, "little") + whole.content[4 * place + 4 :]
    refused(content, whole, "outside")


def patched(codestream: bytes, marker: int, at: int, value: bytes) -> bytes:
    """Replaces bytes in the body of the first such segment."""
    start = codestream.index(struct.pack(">H", marker)) + 4 + at
    return codestream[:start] + value + codestream[start + len(value) :]


PIXELS = picture(200, 300, 3)
CODESTREAM = htj2k(PIXELS, 3, **PARTS)
STYLE = b"\3\4\4\x40\1"  # three decompositions, blocks of 64x64
UNUSUAL = {
    "offset": patched(CODESTREAM, SIZ, 2, struct.pack(">4I", 307, 200, 7, 0)),
    "tiny tiles": patched(CODESTREAM, SIZ, 18, struct.pack(">2I", 300, 2)),
    "different sizes": patched(CODESTREAM, SIZ, 37, b"\1\2"),
    "different depths": patched(CODESTREAM, SIZ, 39, b"\7"),
    "tiny precincts": CODESTREAM.replace(
        struct.pack(">HHB", COD, 12, 0), struct.pack(">HHB", COD, 16, 1), 1
    ).replace(STYLE, STYLE + b"\x33" * 4, 1),
    "a step for some": patched(CODESTREAM, QCD, 0, b"\x41"),
    "not complete": CODESTREAM[:-2],
    "not HTJ2K": CODESTREAM.replace(b"\xff\x50\0\x08\0\x02", b"\xff\x50\0\x08\0\0", 1),
}


@pytest.mark.parametrize("why", UNUSUAL)
def test_htj2k_that_nobody_makes_is_not_decoded(why: str) -> None:
    whole = Whole(CODESTREAM, HTJ2K, told(PIXELS))
    assert np.array_equal(decode_stored(CODESTREAM, HTJ2K, whole.pixel), PIXELS)
    assert UNUSUAL[why] != CODESTREAM
    refused(UNUSUAL[why], whole, why)


def test_a_codestream_in_a_file_of_its_own_is_decoded_too() -> None:
    whole = first(JPEG_2000)
    boxed = bytes(imagecodecs.jpeg2k_encode(picture(33, 47), 0, codecformat="JP2", reversible=True))
    assert boxed.startswith(b"\0\0\0\x0cjP  ")
    alone, inside = (decode_stored(each, JPEG_2000, whole.pixel) for each in (whole.content, boxed))
    assert np.array_equal(alone, inside)
    refused(boxed, replace(whole, pixel=replace(whole.pixel, rows=34)), "but the metadata says")


def test_what_only_a_few_bytes_say_to_be_gigantic_is_not_decoded() -> None:
    whole = first(JPEG)
    sof = whole.content.index(b"\xff\xc0") + 5
    content = whole.content[:sof] + struct.pack(">HH", 65535, 65535) + whole.content[sof + 4 :]
    with pytest.raises(NotMade, match="65535x65535"):
        decode_stored(content, JPEG, replace(whole.pixel, rows=65535, columns=65535))

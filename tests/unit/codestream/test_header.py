import random
import time
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import complete_reduce, encode_htj2k
from proxy.codestream.header import read_header
from proxy.codestream.markers import MAX_MAIN_HEADER
from proxy.errors import CodestreamError

PIXELS = np.random.default_rng(3).integers(0, 4096, (200, 300), dtype=np.uint16)
CODESTREAM = encode_htj2k(PIXELS)
SIZ_STOP = 45  # SOC, and SIZ for one component


def test_a_whole_codestream_says_what_it_is() -> None:
    header = read_header(CODESTREAM)
    assert header is not None
    assert (header.width, header.height, header.components) == (300, 200, 1)
    assert (header.bit_depth, header.is_signed) == (16, False)
    assert (header.decompositions, header.progression, header.tiles) == (5, "RPCL", 1)
    assert header.is_htj2k
    assert len(header.tile_parts) == 6
    assert header.total == len(CODESTREAM)
    assert header.resolution_ends[-1] == len(CODESTREAM) - 2
    assert header.reasons == ()


def test_byte_by_byte_it_is_none_until_the_first_tile_part_begins() -> None:
    whole = read_header(CODESTREAM)
    assert whole is not None
    for have in range(whole.length + 2):
        assert read_header(CODESTREAM[:have]) is None, have
    assert read_header(CODESTREAM[: whole.length + 2]) == whole


def test_what_follows_the_codestream_changes_nothing() -> None:
    assert read_header(CODESTREAM + b"\0" * 7) == read_header(CODESTREAM)


def test_sign_and_colour_are_read() -> None:
    signed = read_header(encode_htj2k(np.zeros((5, 4), np.int16)))
    colour = read_header(encode_htj2k(np.zeros((5, 4, 3), np.uint8)))
    assert signed is not None
    assert colour is not None
    assert (signed.is_signed, signed.bit_depth) == (True, 16)
    assert (colour.components, colour.bit_depth) == (3, 8)


def test_one_tile_part_tells_the_total_and_no_resolution_ends() -> None:
    header = read_header(bytes(imagecodecs.htj2k_encode(PIXELS, tlm=True)))
    assert header is not None
    assert header.total is not None
    assert header.resolution_ends == ()
    assert header.reasons == ()


def test_tiles_have_no_resolution_ends() -> None:
    parts = imagecodecs.HTJ2K.TILEPART.RESOLUTIONS
    header = read_header(bytes(imagecodecs.htj2k_encode(PIXELS, tile=(128, 128), tlm=True, tilepart=parts)))
    assert header is not None
    assert header.tiles == 6
    assert header.resolution_ends == ()


def test_reasons_name_what_is_missing() -> None:
    plain = read_header(bytes(imagecodecs.htj2k_encode(np.zeros((3000, 3000), np.uint8), resolutions=5)))
    other = read_header(bytes(imagecodecs.jpeg2k_encode(PIXELS, level=30, codecformat="j2k")))
    assert plain is not None
    assert other is not None
    assert plain.reasons == ("its smallest resolution is 94x94, above 64", "it has no TLM")
    assert not other.is_htj2k
    assert "its blocks are not HTJ2K" in other.reasons
    assert "its wavelet is not the reversible one" in other.reasons


@pytest.mark.parametrize("shape", [(512, 512), (130, 70), (64, 500, 3), (9, 1000)])
def test_truncated_prefixes_decode_to_the_resolutions_that_are_said_to_end_there(
    shape: tuple[int, ...],
) -> None:
    codestream = encode_htj2k(np.random.default_rng(4).integers(0, 60000, shape, dtype=np.uint16))
    header = read_header(codestream)
    assert header is not None
    assert len(header.resolution_ends) == header.decompositions + 1
    for resolution, end in enumerate(header.resolution_ends):
        reduce = complete_reduce(codestream, end)
        assert reduce is not None
        assert reduce <= header.decompositions - resolution


@pytest.mark.parametrize("start", [b"\0", b"\xff\x4f\xff\x52", b"--boundary", b"\0\0\0\x0cjP  "])
def test_what_is_no_codestream_is_refused_at_its_first_bytes(start: bytes) -> None:
    with pytest.raises(CodestreamError):
        read_header(start)


def test_garbage_raises_nothing_else() -> None:
    rng = random.Random(5)
    length = 160
    for _ in range(5000):
        mutant = bytearray(CODESTREAM[: length + rng.randrange(40)])
        for _ in range(rng.randrange(1, 6)):
            mutant[rng.randrange(4, length)] = rng.randrange(256)
        try:
            header = read_header(bytes(mutant))
        except CodestreamError:
            continue
        assert header is None or all(a < b for a, b in pairwise(header.resolution_ends))


def test_a_main_header_without_an_end_is_refused() -> None:
    comment = b"\xff\x64\xff\xff" + b"\0" * 65533
    with pytest.raises(CodestreamError, match=str(MAX_MAIN_HEADER)):
        read_header(CODESTREAM[:SIZ_STOP] + comment * 3)


def test_the_longest_header_is_read_in_a_moment() -> None:
    many = b"\xff\x64\x00\x02" * ((MAX_MAIN_HEADER - 400) // 4)
    before = time.thread_time()
    header = read_header(CODESTREAM[:SIZ_STOP] + many + CODESTREAM[SIZ_STOP:])
    assert time.thread_time() - before < 2
    assert header is not None
    assert header.width == 300

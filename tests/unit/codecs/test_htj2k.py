from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from proxy.codecs.htj2k import complete_reduce, decode_htj2k, encode_htj2k
from proxy.codestream.cutting import cut_reduced
from proxy.codestream.header import read_header
from proxy.errors import CodestreamError

SHAPES = [(1, 1), (1, 7), (7, 1), (3, 3), (3, 3, 3), (65, 63), (17, 33, 3), (1, 4096), (300, 70)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_pixel_comes_back_and_the_codestream_conforms(dtype: type, shape: tuple[int, ...]) -> None:
    limits = np.iinfo(dtype)
    pixels = np.random.default_rng(1).integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    codestream = encode_htj2k(pixels)
    back = decode_htj2k(codestream)
    assert back.dtype == pixels.dtype
    assert np.array_equal(back, pixels)
    header = read_header(codestream)
    assert header is not None
    assert header.reasons == ()
    assert header.total == len(codestream)


def test_larger_pictures_have_more_decompositions() -> None:
    header = read_header(encode_htj2k(np.zeros((10, 3036), np.uint16)))
    assert header is not None
    assert header.decompositions == 6
    assert header.reasons == ()


def test_a_view_with_gaps_is_encoded_as_it_looks() -> None:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)[::2, ::3]
    assert np.array_equal(decode_htj2k(encode_htj2k(pixels)), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), ">u2"),
        np.zeros((4, 4), np.uint32),
        np.zeros((4, 4), np.float32),
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_would_be_damaged_is_refused(pixels: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="not "):
        encode_htj2k(pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_reduced_sizes_clamp_and_do_not_wrap(dtype: type) -> None:
    # Sharp edges between the limits of the type overshoot when the picture is reduced.
    limits = np.iinfo(dtype)
    pixels: NDArray[Any] = np.full((512, 512), limits.min, dtype)
    pixels[100:300, 130:333] = limits.max
    codestream = encode_htj2k(pixels)
    for reduce in range(1, 4):
        smaller = decode_htj2k(codestream, reduce).astype(int)
        places = np.s_[:: 1 << reduce, :: 1 << reduce]
        is_inside = np.zeros((512, 512), bool)
        is_inside[116:284, 146:317] = True
        middle = smaller[is_inside[places]]
        assert middle.min() > (limits.max + limits.min) // 2
        assert smaller[0, 0] == limits.min


def noise_at_the_ends(dtype: type) -> NDArray[Any]:
    """Values at both limits of the type, and noise between them in half of the picture."""
    limits, rng = np.iinfo(dtype), np.random.default_rng(4)
    pixels = rng.choice(np.array([limits.min, limits.max], dtype), (256, 256))
    pixels[:, 128:] = rng.integers(limits.min, limits.max, (256, 128), dtype, endpoint=True)
    return pixels


def farthest(one: NDArray[Any], other: NDArray[Any]) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_what_is_lossy_is_off_by_a_little_and_not_by_the_whole_range(dtype: type) -> None:
    pixels, limits = noise_at_the_ends(dtype), np.iinfo(dtype)
    span = int(limits.max) - int(limits.min)
    codestream = encode_htj2k(pixels, step=0.01)
    assert 0 < farthest(decode_htj2k(codestream), pixels) < span * 0.02
    assert farthest(imagecodecs.htj2k_decode(codestream, planar=False), pixels) >= span * 0.98


@pytest.mark.parametrize("reduce", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("step", [0.0, 0.001, 0.01])
def test_pixels_are_those_of_a_decoder_that_clamps(dtype: type, reduce: int, step: float) -> None:
    codestream = encode_htj2k(noise_at_the_ends(dtype), step)
    cut = cut_reduced(codestream, 5 - reduce) if reduce else codestream
    by_openjpeg = imagecodecs.jpeg2k_decode(cut, planar=False)
    rounding = 0 if not step else 1 if by_openjpeg.itemsize == 1 else 4  # of the lossy wavelet's floats
    assert farthest(decode_htj2k(codestream, reduce), by_openjpeg) <= rounding
    assert farthest(decode_htj2k(cut), by_openjpeg) <= rounding


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_the_bare_decoder_wraps(dtype: type) -> None:
    """If this fails, the decoder is fixed and the correction can go."""
    codestream = encode_htj2k(noise_at_the_ends(dtype))
    bare, span = imagecodecs.htj2k_decode(codestream, planar=False, skipres=1), 2 ** (8 * dtype().itemsize)
    assert farthest(bare, decode_htj2k(codestream, 1)) > span * 0.9


def test_a_reduce_that_there_is_not_is_refused() -> None:
    codestream = encode_htj2k(np.zeros((64, 64), np.uint8))
    for reduce in (-1, 6):
        with pytest.raises(ValueError, match="0 to 5"):
            decode_htj2k(codestream, reduce)


def test_a_codestream_that_is_cut_in_its_header_is_refused() -> None:
    codestream = encode_htj2k(np.zeros((64, 64), np.uint8))
    with pytest.raises(CodestreamError):
        decode_htj2k(codestream[:60])


def test_a_prefix_holds_a_resolution_from_its_end_on() -> None:
    pixels = np.random.default_rng(2).integers(0, 4096, (300, 400), dtype=np.uint16)
    codestream = encode_htj2k(pixels)
    header = read_header(codestream)
    assert header is not None
    for resolution, end in enumerate(header.resolution_ends):
        reduce = header.decompositions - resolution
        assert complete_reduce(codestream, end) == reduce
        assert complete_reduce(codestream, end - 1) == (reduce + 1 if resolution else None)
    assert complete_reduce(codestream, 0) is None
    assert complete_reduce(codestream, 20) is None
    assert complete_reduce(codestream, len(codestream)) == 0

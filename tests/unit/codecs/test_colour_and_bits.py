"""The colour of a frame, the bits of its values, and its real transfer syntax, whatever the label says."""

import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.decode import decode_stored, rgb_of, ybr_of
from proxy.codecs.jobs import Alternate, Job
from proxy.codecs.transcode import make
from proxy.errors import CodestreamError
from proxy.wire.pixels import ImagePixel, read_image_pixel
from tests.codestreams import Pixels, htj2k, picture
from tests.hostile import HTJ2K, JPEG, JPEG_12, JPEG_2000, JPEG_LS, LOSSLESS, PLAIN, RLE, run_lengths

COLOUR = picture(40, 34, 3, dtype="u1")
DEEP = picture(40, 34, 3) & 4095
RGB = ImagePixel(40, 34, 3, 8, 8, photometric="RGB")
NO_LABEL = "OTHER"


def jpeg(pixels: Pixels, coded: str, **more: Any) -> bytes:
    """Encodes samples unchanged, with the markers of a colour space."""
    return bytes(imagecodecs.jpeg8_encode(pixels, 100, colorspace=coded, outcolorspace=coded, **more))


def without(content: bytes, marker: int) -> bytes:
    """Removes a marker segment."""
    at = content.index(struct.pack(">H", marker))
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def renamed(content: bytes, names: bytes) -> bytes:
    """Changes the identifiers of the components, in the headers of frame and scan."""
    frame, scan = (content.index(struct.pack(">H", marker)) for marker in (0xFFC0, 0xFFDA))
    changed = bytearray(content)
    for number, name in enumerate(names):
        changed[frame + 10 + 3 * number] = changed[scan + 5 + 2 * number] = name
    return bytes(changed)


def adobe(content: bytes, transform: int) -> bytes:
    return content[:2] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes((transform,)) + content[2:]


JFIF = jpeg(COLOUR, "YCBCR")
NAMED = jpeg(COLOUR, "RGB")
BARE = without(JFIF, 0xFFE0)
STREAMS = {
    "jfif": (JFIF, True),
    "named-rgb": (without(NAMED, 0xFFEE), False),
    "named-rgb-in-small": (renamed(without(NAMED, 0xFFEE), b"rgb"), False),
    "adobe-0": (adobe(BARE, 0), False),
    "adobe-1": (adobe(BARE, 1), True),
    "adobe-2": (adobe(BARE, 2), True),
}
"""JPEGs of the same samples, and True if their markers say luma and chroma."""


def near(one: Pixels, other: Pixels, by: int) -> bool:
    return bool(one.shape == other.shape and np.abs(one.astype(int) - other).max() <= by)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL_422", "YBR_FULL", NO_LABEL])
@pytest.mark.parametrize("name", STREAMS)
def test_markers_say_which_colour_a_jpeg_has_and_the_label_which_is_wanted(name: str, label: str) -> None:
    content, is_ybr = STREAMS[name]
    as_it_is = decode_stored(content, JPEG, replace(RGB, photometric="YBR_FULL" if is_ybr else "RGB"))
    found = decode_stored(content, JPEG, replace(RGB, photometric=label))
    if label == "YBR_FULL":
        assert near(found, as_it_is if is_ybr else ybr_of(as_it_is), 1)
    else:
        assert near(found, rgb_of(as_it_is) if is_ybr else as_it_is, 3)


def test_the_label_decides_if_no_marker_tells() -> None:
    samples = decode_stored(BARE, JPEG, replace(RGB, photometric="RGB"))
    assert np.array_equal(decode_stored(BARE, JPEG, replace(RGB, photometric="YBR_FULL")), samples)
    assert near(decode_stored(BARE, JPEG, replace(RGB, photometric="YBR_FULL_422")), rgb_of(samples), 3)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL"])
def test_the_lossless_process_leaves_colour_as_it_is(label: str) -> None:
    pixel, content = replace(RGB, photometric=label), jpeg(COLOUR, "RGB", lossless=True)
    jfif = content[:2] + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + without(content, 0xFFEE)[2:]
    for each in (content, without(content, 0xFFEE), jfif):
        assert np.array_equal(decode_stored(each, LOSSLESS, pixel), COLOUR)
    transformed = decode_stored(adobe(without(content, 0xFFEE), 1), LOSSLESS, pixel)
    assert np.array_equal(transformed, COLOUR if label == "YBR_FULL" else rgb_of(COLOUR))


@pytest.mark.parametrize(("coded", "is_ybr"), [("YCBCR", True), ("RGB", False)])
def test_so_they_do_with_12_bits(coded: str, is_ybr: bool) -> None:
    pixel, content = (
        ImagePixel(40, 34, 3, 16, 12, photometric="RGB"),
        jpeg(DEEP, coded, bitspersample=12, subsampling="444"),
    )
    found = decode_stored(content, JPEG_12, pixel)
    assert near(found, rgb_of(DEEP, 12) if is_ybr else DEEP, 40)
    assert near(
        decode_stored(content, JPEG_12, replace(pixel, photometric="YBR_FULL")),
        DEEP if is_ybr else ybr_of(DEEP, 12),
        40,
    )


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL"])
def test_a_jpeg_that_is_made_says_its_colour_with_its_own_markers(label: str) -> None:
    pixel = replace(RGB, photometric=label)
    made = make(Job(COLOUR.tobytes(), PLAIN, pixel, Alternate("jpeg", quality=100), 1))
    assert b"JFIF" in made.content[:20]
    colours = COLOUR if label == "RGB" else rgb_of(COLOUR)
    by_anybody = imagecodecs.jpeg8_decode(made.content).astype(int)
    assert np.abs(by_anybody - colours).mean() < 9


@pytest.mark.parametrize("is_planar", [False, True])
def test_full_colour_that_is_said_to_have_half_its_chroma_is_read_as_it_is(is_planar: bool) -> None:
    pixel = replace(RGB, photometric="YBR_FULL_422", is_planar=is_planar)
    content = (COLOUR.transpose(2, 0, 1) if is_planar else COLOUR).tobytes()
    assert np.array_equal(decode_stored(content, PLAIN, pixel), COLOUR)


@pytest.mark.parametrize("length", [0, 2719, 2722, 3000, 4079, 4082, 5000, 8160])
def test_a_size_that_fits_no_layout_is_refused_with_those_that_do(length: int) -> None:
    with pytest.raises(CodestreamError, match=f"{length:,} bytes, .* 2,720 or 4,080"):
        decode_stored(bytes(length), PLAIN, replace(RGB, photometric="YBR_FULL_422"))
    if length not in (4082, 4079):
        with pytest.raises(CodestreamError, match=f"{length:,} bytes, .* 4,080"):
            decode_stored(bytes(length), PLAIN, RGB)


def in_word(values: Pixels, low: int, others: int) -> Pixels:
    """Values in the middle of 16 bits; the other bits hold something else."""
    noise = np.random.default_rng(3).integers(0, 65536, values.shape, dtype=np.uint16)
    mask = np.uint16(4095 << low)
    found: Pixels = (values.view("u2") << low & mask) | (noise & ~mask & others)
    return found


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("low", [0, 2, 4])
@pytest.mark.parametrize("syntax", [PLAIN, RLE, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K])
def test_the_value_is_the_bits_that_end_with_high_bit(syntax: str, low: int, is_signed: bool) -> None:
    least = -2048 if is_signed else 0
    values = (
        np.random.default_rng(2).integers(least, least + 4096, (40, 34)).astype("i2" if is_signed else "u2")
    )
    word = in_word(values, low, 0xFFFF)
    encode: dict[str, Callable[[], bytes | bytearray]] = {
        PLAIN: lambda: word.tobytes(),
        RLE: lambda: run_lengths(word),
        LOSSLESS: lambda: imagecodecs.jpeg8_encode(word, lossless=True, bitspersample=16),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(word),
        JPEG_2000: lambda: imagecodecs.jpeg2k_encode(word, level=0, codecformat="j2k", reversible=True),
        HTJ2K: lambda: htj2k(word),
    }
    tags = {
        "00280010": 40,
        "00280011": 34,
        "00280100": 16,
        "00280101": 12,
        "00280102": 11 + low,
        "00280103": int(is_signed),
    }
    pixel = read_image_pixel({tag: {"Value": [value]} for tag, value in tags.items()})
    assert pixel is not None
    content = bytes(encode[syntax]())
    assert np.array_equal(decode_stored(content, syntax, pixel), values)
    made = make(Job(content, syntax, pixel, Alternate("jpegls"), 1))
    assert np.array_equal(imagecodecs.jpegls_decode(made.content).view(values.dtype), values)


def test_samples_that_an_encoder_took_out_of_their_word_are_not_shifted() -> None:
    values = picture(40, 34) & 4095
    content = bytes(
        imagecodecs.jpeg2k_encode(values, level=0, bitspersample=12, codecformat="j2k", reversible=True)
    )
    for low in (0, 4):
        assert np.array_equal(
            decode_stored(content, JPEG_2000, ImagePixel(40, 34, 1, 16, 12, low=low)), values
        )


def test_a_lossy_value_that_is_a_little_too_large_stays_large() -> None:
    sharp = np.zeros((64, 64), "u2")
    sharp[16:48, 16:48] = 4095
    content = bytes(imagecodecs.jpeg2k_encode(sharp, level=40, codecformat="j2k", reversible=False))
    raw = imagecodecs.jpeg2k_decode(content)
    assert raw.max() > 4095
    found = decode_stored(content, JPEG_2000, ImagePixel(64, 64, 1, 16, 12))
    assert np.array_equal(found, raw.clip(0, 4095))


GREY = picture(40, 34)
NAMELESS = {
    "jpeg": (imagecodecs.jpeg8_encode(COLOUR, 95), JPEG, RGB),
    "jpeg-lossless": (
        imagecodecs.jpeg8_encode(GREY, lossless=True, bitspersample=16),
        LOSSLESS,
        ImagePixel(40, 34),
    ),
    "jpeg-ls": (imagecodecs.jpegls_encode(GREY), JPEG_LS, ImagePixel(40, 34)),
    "jpeg-2000": (
        imagecodecs.jpeg2k_encode(GREY, 0, codecformat="j2k", reversible=True),
        JPEG_2000,
        ImagePixel(40, 34),
    ),
    "jp2": (
        imagecodecs.jpeg2k_encode(GREY, 0, codecformat="jp2", reversible=True),
        JPEG_2000,
        ImagePixel(40, 34),
    ),
    "htj2k": (htj2k(GREY), HTJ2K, ImagePixel(40, 34)),
}


@pytest.mark.parametrize("label", [PLAIN, ""])
@pytest.mark.parametrize("name", NAMELESS)
def test_first_bytes_tell_what_is_called_octet_stream(name: str, label: str) -> None:
    content, syntax, pixel = NAMELESS[name]
    right = decode_stored(bytes(content), syntax, pixel)
    assert np.array_equal(decode_stored(bytes(content), label, pixel), right)


@pytest.mark.parametrize("beginning", [b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51\0\x2f", b"\0\0\0\x0cjP  "])
def test_pixels_that_begin_as_a_codestream_does_are_still_pixels(beginning: bytes) -> None:
    content = beginning + GREY.tobytes()[len(beginning) :]
    assert decode_stored(content, PLAIN, ImagePixel(40, 34)).tobytes() == content


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("longer", [0, 1])
def test_what_is_behind_the_picture_in_a_segment_of_rle_is_ignored(samples: int, longer: int) -> None:
    pixels = picture(9, 11, dtype="u1") if samples == 1 else picture(9, 11, 3, dtype="u1")
    content = run_lengths(pixels)
    starts = [*struct.unpack_from(f"<{samples}I", content, 4), len(content)]
    segments = [content[a:b] for a, b in pairwise(starts)]
    segments[longer % samples] = segments[longer % samples][:100] + b"\0\7" * 2  # two more literals
    sizes = np.cumsum([64, *map(len, segments)])
    head = struct.pack("<16I", samples, *map(int, sizes[:-1]), *[0] * (15 - samples))
    pixel = ImagePixel(9, 11, samples, 8, 8, photometric="RGB" if samples == 3 else "MONOCHROME2")
    assert np.array_equal(decode_stored(head + b"".join(segments), RLE, pixel), pixels)
    with pytest.raises(CodestreamError, match="98 samples, but the metadata says 99"):
        short = run_lengths(pixels.reshape(-1)[:98]) if samples == 1 else None
        decode_stored(short or run_lengths(pixels.reshape(-1, 3)[None, :98]), RLE, pixel)

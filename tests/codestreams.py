"""Codestreams for tests, from three encoders, with every option that moves a packet.

imagecodecs is always installed. The programs of OpenJPH and Grok only make test data. If one is missing, the
tests that need it are skipped and name it.
"""

import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from proxy.codestream.header import read_header
from proxy.codestream.markers import CAP, COC, COD, QCC, QCD, SIZ, SOC, MainHeader, read_main_header

Pixels = NDArray[Any]

PACKAGES = {"ojph_compress": "openjph-tools", "grk_compress": "grokj2k-tools"}
"""Debian package of each program."""
ORDERS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
PARTS: dict[str, Any] = {"tlm": True, "tilepart": imagecodecs.HTJ2K.TILEPART.RESOLUTIONS}
"""Options that make imagecodecs write one tile-part per resolution, and a TLM marker."""
PRECINCTS = ("-c", "[64,64],[64,64],[32,32]", "-b", "16,16")
"""Grok's precincts, from the largest resolution to the smallest."""


def picture(*shape: int, dtype: str = "u2", seed: int = 1) -> Pixels:
    """A smooth image with noise, like a scanner's. It is in colour if the shape has three numbers."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    smooth = np.sin(columns / 40 + 1) * np.cos(rows / 30) + 0.3 * np.sin(rows * columns / 700)
    if len(shape) == 3:
        smooth = np.stack([smooth * (1 + channel / 3) for channel in range(shape[2])], axis=2)
    spread = 30 if dtype[1] == "1" else 900
    noise = np.random.default_rng(seed).normal(0, spread / 20, shape)
    found: Pixels = (smooth * spread + noise + (0 if dtype[0] == "i" else 2 * spread)).astype(dtype)
    return found


def corner(height: int, width: int) -> Pixels:
    """An image that is empty except for one corner, so that code-blocks and whole packets are empty."""
    found = np.zeros((height, width), "u2")
    found[: height // 5, : width // 5] = picture(height // 5, width // 5)
    return found


GREY, COLOUR, SIGNED, CORNER = (
    picture(150, 210),
    picture(90, 131, 3, dtype="u1"),
    picture(77, 200, dtype="i2"),
    corner(200, 300),
)
SMALL = picture(40, 53)
"""A small image for tests that repeat something at every byte."""


def htj2k(pixels: Pixels, decompositions: int = 5, **options: Any) -> bytes:
    """Encodes with imagecodecs, lossless by default. It has no precincts and is always RPCL."""
    options = {"reversible": True, "planar": False, **options}
    return bytes(imagecodecs.htj2k_encode(pixels, resolutions=decompositions, **options))


def ojph(pixels: Pixels, *options: str) -> bytes:
    """Encodes losslessly with OpenJPH's program, one tile-part per tile, without TLM."""
    return _compressed("ojph_compress", pixels, ".j2c", "-reversible", "true", *options)


def grok(pixels: Pixels, *options: str, mode: int = 64) -> bytes:
    """Encodes with Grok's program. `mode` is the code-block style. 64 is high throughput."""
    return _compressed("grk_compress", pixels, ".j2k", "-H", "1", "-M", str(mode), *options)


def _compressed(program: str, pixels: Pixels, suffix: str, *options: str) -> bytes:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {PACKAGES[program]}")
    with tempfile.TemporaryDirectory() as folder:
        source, result = (
            Path(folder, "in.pgm" if pixels.ndim == 2 else "in.ppm"),
            Path(folder, f"out{suffix}"),
        )
        source.write_bytes(_portable(pixels))
        command = [path, *options, "-i", str(source), "-o", str(result)]
        subprocess.run(command, check=True, capture_output=True, timeout=240)
        return result.read_bytes()


def _portable(pixels: Pixels) -> bytes:
    most = (1 << 8 * pixels.dtype.itemsize) - 1
    head = f"P{5 if pixels.ndim == 2 else 6}\n{pixels.shape[1]} {pixels.shape[0]}\n{most}\n"
    return head.encode() + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()


def _by_imagecodecs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "tlm": {"tlm": True},
        "parts": PARTS,
        "tiles": {"tile": (64, 64)},
        "tiles-parts": {"tile": (64, 96), **PARTS},
        "lossy": {"reversible": False, "level": 0.01},
    }
    pictures = {"grey": GREY, "colour": COLOUR, "signed": SIGNED, "corner": CORNER}
    for name, pixels in pictures.items():
        for way, options in ways.items():
            yield f"imagecodecs-{name}-{way}", partial(htj2k, pixels, 3, **options)
    for decompositions in range(1, 7):
        yield f"imagecodecs-grey-{decompositions}", partial(htj2k, GREY, decompositions)
    for shape in ((1, 1), (1, 300), (300, 1), (5, 7), (65, 63), (1, 1, 3), (33, 2, 3)):
        pixels = picture(*shape)
        yield f"imagecodecs-{'x'.join(map(str, shape))}", partial(htj2k, pixels)
        yield f"imagecodecs-{'x'.join(map(str, shape))}-parts", partial(htj2k, pixels, **PARTS)


def _by_programs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name, pixels in {"grey": GREY, "colour": COLOUR, "corner": CORNER}.items():
        for order in ORDERS:
            base = partial(ojph, pixels, "-num_decomps", "3", "-prog_order", order)
            for way, options in {
                "plain": (),
                "precincts": ("-precincts", "{32,32},{64,64},{64,32}", "-block_size", "{32,32}"),
                "tiles": ("-tile_size", "{64,64}"),
                "offset": ("-image_offset", "{13,9}", "-precincts", "{32,32}"),
            }.items():
                yield f"ojph-{name}-{order}-{way}", partial(base, *options)
            base = partial(grok, pixels, "-n", "4", "-p", order)
            for way, options in {
                "plain": (),
                "sop-eph-precincts": ("-S", "-E", *PRECINCTS),
                "plt-sop-eph": ("-L", "-S", "-E"),
                "plt-precincts": ("-L", *PRECINCTS),
                "plt-parts": ("-L", "-u", "R"),
                "offset": ("-d", "13,9", *PRECINCTS),
                "tiles-offset-parts": ("-t", "64,64", "-d", "13,9", "-u", "R", "-c", "[32,32]"),
            }.items():
                yield f"grok-{name}-{order}-{way}", partial(base, *options)


def _by_part_1() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name, pixels in {"grey": GREY, "colour": COLOUR}.items():
        for order in ORDERS:
            for mode in (1, 5):  # 1 is selective bypass, 4 is termination on each pass
                base = partial(grok, pixels, "-n", "4", "-p", order, mode=mode)
                yield f"part1-{name}-{order}-{mode}", base
                yield f"part1-{name}-{order}-{mode}-layers", partial(base, "-q", "60,70,80,90")
            yield (
                f"part1-{name}-{order}-layers-precincts-parts",
                partial(base, "-q", "60,70,80,90", *PRECINCTS, "-S", "-E", "-u", "R"),
            )


HT = dict((*_by_imagecodecs(), *_by_programs()))
"""Functions that make high-throughput codestreams, by name."""
PART_1 = dict(_by_part_1())
"""Functions that make codestreams with the code-blocks of Part 1, some of them in layers, by name."""


@cache
def made(name: str) -> bytes:
    """The codestream with this name in `HT` or `PART_1`."""
    return (HT.get(name) or PART_1[name])()


@cache
def first_same(name: str) -> tuple[int, ...]:
    """For each resolution, the length of the shortest prefix that decodes to the same pixels as the whole."""
    codestream = made(name)
    header = read_header(codestream)
    assert header is not None
    found = []
    for reduce in range(header.decompositions, -1, -1):
        whole, low, high = _decoded(codestream, reduce), 0, len(codestream)
        while low < high:
            middle = (low + high) // 2
            is_same = _decodes_to(codestream[:middle], reduce, whole)
            low, high = (low, middle) if is_same else (middle + 1, high)
        found.append(low)
    return tuple(found)


def _decoded(codestream: bytes, reduce: int) -> Pixels:
    found: Pixels = imagecodecs.htj2k_decode(codestream, planar=False, skipres=reduce, resilient=True)
    return found


def _decodes_to(prefix: bytes, reduce: int, whole: Pixels) -> bool:
    try:
        return np.array_equal(_decoded(prefix, reduce), whole)
    except imagecodecs.Htj2kError:
        return False


def main_header(codestream: bytes) -> MainHeader:
    found = read_main_header(codestream)
    assert found is not None
    return found


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, 2 + len(body)) + body


def in_main_header(codestream: bytes, added: bytes) -> bytes:
    """The codestream with one more segment before its first tile-part."""
    at = main_header(codestream).length
    return codestream[:at] + added + codestream[at:]


def in_tile_part(codestream: bytes, added: bytes) -> bytes:
    """The codestream with one more segment in the header of its first tile-part."""
    at = main_header(codestream).length
    length = int.from_bytes(codestream[at + 6 : at + 10], "big") + len(added)
    return (
        codestream[: at + 6]
        + struct.pack(">I", length)
        + codestream[at + 10 : at + 12]
        + added
        + codestream[at + 12 :]
    )


def joined(*codestreams: bytes) -> bytes:
    """One CPRL codestream from several of one component each. Every component keeps its own coding style."""
    mains = [main_header(each) for each in codestreams]
    bodies = b"".join(each[main.length + 14 : -2] for each, main in zip(codestreams, mains, strict=True))
    size = mains[0].first(SIZ) or b""
    found = SOC.to_bytes(2, "big")
    found += segment(SIZ, size[:34] + struct.pack(">H", len(mains)) + size[36:] * len(mains))
    for number, main in enumerate(mains):
        coding, quantization = main.first(COD) or b"", main.first(QCD) or b""
        if number:
            found += segment(COC, bytes((number, coding[0] & 1)) + coding[5:])
            found += segment(QCC, bytes((number,)) + quantization)
        else:
            found += segment(CAP, main.first(CAP) or b"")
            found += segment(COD, coding[:1] + bytes((ORDERS.index("CPRL"),)) + coding[2:])
            found += segment(QCD, quantization)
    return (
        found + struct.pack(">HHHIBBH", 0xFF90, 10, 0, 14 + len(bodies), 0, 1, 0xFF93) + bodies + b"\xff\xd9"
    )


def mutant(codestream: bytes, rng: random.Random) -> bytes:
    """A damaged copy: bits and bytes changed (mostly in headers), pieces moved, and sometimes truncated."""
    found = bytearray(codestream)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(2, rng.choice((60, 160, len(found), len(found))))
        match rng.randrange(6):
            case 0:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                found[at] = rng.choice((0, 1, 127, 128, 255))
            case 2:
                found[at : at + 4] = rng.randbytes(4)
            case 3:
                found[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", bytes(4), b"\0\1\0\0"))
            case 4:
                start = rng.randrange(len(found))
                found[at:at] = found[start : start + rng.randrange(40)]
            case _:
                found[at] = rng.randrange(256)
    return bytes(found[: rng.choice((len(found), rng.randrange(len(found))))])


@cache
def bases() -> tuple[bytes, ...]:
    """Small codestreams to make mutants of. There are more of them if the encoder programs are installed."""
    small, colour = picture(33, 47), picture(20, 30, 3, dtype="u1")
    found = [
        htj2k(small),
        htj2k(small, 3, **PARTS),
        htj2k(small, 2, tile=(16, 16), **PARTS),
        htj2k(colour, 3),
        joined(htj2k(small, 2), htj2k(small, 4)),
    ]
    if all(map(shutil.which, PACKAGES)):
        found += [
            ojph(small, "-precincts", "{16,16}", "-block_size", "{8,8}", "-prog_order", "PCRL"),
            grok(small, "-L", "-S", "-E", "-n", "4", "-u", "R"),
            grok(colour, *PRECINCTS, "-p", "CPRL", "-n", "4"),
            grok(small, "-n", "4", "-q", "30,60,90", "-S", "-E", mode=5),
        ]
    return tuple(found)

"""DICOM files that are broken, odd or malicious, and files that are not DICOM, each with a name."""

import os
import struct
import zlib
from pathlib import Path

import imagecodecs
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from proxy.codecs.htj2k import encode_htj2k
from tests.codestreams import picture
from tests.dicom_files import compressed, image, save

HT = encode_htj2k(picture(20, 30))
HT += b"\0" * (len(HT) % 2)
J2K = bytes(imagecodecs.jpeg2k_encode(picture(20, 30), level=0, codecformat="j2k", reversible=True))
PRIVATE = "1.2.3.4.5.6.7"


def _patched(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content, path
    path.write_bytes(content.replace(old, new, 1))


def _said_to_be(path: Path, syntax: str) -> None:
    """Rewrites a file to claim another transfer syntax than it has."""
    content, mark = path.read_bytes(), b"\x02\0\x10\0UI"
    at = content.index(mark)
    stop = at + 8 + int.from_bytes(content[at + 6 : at + 8], "little")
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = mark + struct.pack("<H", len(value)) + value
    path.write_bytes(content[:at] + element + content[stop:])


def _element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One element in Explicit VR Little Endian. `length` can be a false length."""
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", group, number, vr)
    is_long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"OD", b"OV")
    return head + (struct.pack("<HI", 0, size) if is_long else struct.pack("<H", size)) + value


def _with_elements(path: Path, *elements: bytes) -> None:
    """Inserts elements into a file, before its pixel data."""
    content = path.read_bytes()
    at = content.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW"))
    path.write_bytes(content[:at] + b"".join(elements) + content[at:])


def _images() -> dict[str, Dataset]:
    """Data sets that pydicom can write, by name."""
    numbers = iter(range(1, 100))

    def plain(**more: object) -> Dataset:
        return image(next(numbers), **more)

    def coded(syntax: str, *frames: bytes, **more: object) -> Dataset:
        return compressed(plain(**more), syntax, *frames)

    found = {
        "no-pixels": plain(),
        "no-rows": plain(),
        "no-bits": plain(),
        "no-syntax": plain(),
        "float": plain(BitsAllocated=32, BitsStored=32, HighBit=31),
        "double-short": plain(BitsAllocated=64),
        "zero-rows": plain(Rows=0),
        "zero-columns-coded": coded(JPEG2000Lossless, J2K, Columns=0),
        "one-bit": plain(BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=bytes(76)),
        "bits-12": plain(BitsAllocated=12, BitsStored=12, HighBit=11, PixelData=bytes(900)),
        "bits-0": plain(BitsAllocated=0),
        "many-samples": plain(SamplesPerPixel=200),
        "frames-negative": plain(NumberOfFrames=-3),
        "frames-huge": plain(NumberOfFrames=2147483647),
        "frames-huge-coded": coded(JPEG2000Lossless, J2K, NumberOfFrames=2147483647),
        "frames-zero": plain(NumberOfFrames=0),
        "frames-text": plain(NumberOfFrames=1),
        "no-fragments": coded(JPEG2000Lossless),
        "three-in-one": coded(JPEG2000Lossless, J2K, J2K, J2K),
        "rle-three-in-one": coded(RLELossless, b"\1" * 90, b"\2" * 90, b"\3" * 90),
        "not-in-items": plain(),
        "in-items-but-plain": coded(JPEG2000Lossless, J2K),
        "private-plain": plain(),
        "private-items": coded(JPEG2000Lossless, b"whatever it is."),
        "deflated": plain(),
        "deflated-torn": plain(),
        "jpeg-that-is-none": coded(JPEGBaseline8Bit, b"no JPEG at all.."),
        "ht": coded(HTJ2KLosslessRPCL, HT),
        "ht-torn": coded(HTJ2KLosslessRPCL, HT[:100]),
        "bad-offsets": coded(JPEG2000Lossless, J2K, J2K, NumberOfFrames=2),
        "bad-table": coded(JPEG2000Lossless, J2K),
        "item-too-long": coded(JPEG2000Lossless, J2K),
        "item-undefined": coded(JPEG2000Lossless, J2K),
        "vr-pixels": plain(),
        "vr-unknown": plain(),
        "vr-wrong-length": plain(),
        "nested": plain(),
        "sequence-broken": plain(),
        "length-huge": plain(),
        "uid-letters": plain(SOPInstanceUID="1.2.ABC"),
    }
    found["float"].FloatPixelData = bytes(2400)
    found["double-short"].DoubleFloatPixelData = bytes(80)
    for name in ("no-pixels", "float", "double-short"):
        del found[name].PixelData
    del found["no-rows"].Rows, found["no-bits"].BitsAllocated
    for name in ("deflated", "deflated-torn"):
        found[name].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    found["bad-offsets"].PixelData = encapsulate([J2K, J2K]).replace(
        struct.pack("<I", len(J2K) + len(J2K) % 2 + 8), struct.pack("<I", 77), 1
    )
    found["bad-table"].PixelData = b"\xfe\xff\x00\xe0\x03\x00\x00\x00abc" + encapsulate([J2K])
    for name, size in (("item-too-long", 1 << 30), ("item-undefined", 0xFFFFFFFF)):
        content = encapsulate([J2K], has_bot=False)
        found[name].PixelData = content[:12] + struct.pack("<I", size) + content[16:]
    return found


def write_all(folder: Path) -> dict[str, Path]:
    """Writes every file in a folder of its own. Returns the paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, dataset in _images().items():
        found[name] = path = folder / f"{name}.dcm"
        save(path, dataset)
    _said_to_be(found["no-syntax"], "")
    _said_to_be(found["not-in-items"], JPEG2000Lossless)
    for name in ("private-plain", "private-items"):
        _said_to_be(found[name], PRIVATE)
    _said_to_be(found["in-items-but-plain"], ExplicitVRLittleEndian)
    _patched(found["frames-text"], b"\x28\0\x08\0IS\x02\x001 ", b"\x28\0\x08\0IS\x02\0x?")
    _patched(
        found["vr-pixels"],
        struct.pack("<HH2s", 0x7FE0, 0x10, b"OW"),
        struct.pack("<HH2s", 0x7FE0, 0x10, b"UT"),
    )
    _with_elements(found["vr-unknown"], struct.pack("<HH2sH", 0x7001, 0x10, b"ZZ", 4) + b"abcd")
    _with_elements(
        found["vr-wrong-length"], _element(0x28, 0x106, b"US", b"abc"), _element(0x70FF, 1, b"FD", b"x" * 6)
    )
    _with_elements(found["length-huge"], _element(0x7001, 0x10, b"OB", b"", 0xFFFFFFF0))
    nested = b""
    for _ in range(3000):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(nested)) + nested
        nested = _element(0x40, 0xA730, b"SQ", item)
    _with_elements(found["nested"], nested)
    bad = _element(0x18, 0x50, b"DS", b"x?") + _element(0x28, 0x106, b"US", b"abc")
    good = _element(0x18, 0x15, b"CS", b"HEAD")
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(good + bad)) + good + bad
    _with_elements(found["sequence-broken"], _element(0x40, 0xA730, b"SQ", item))
    whole = found["deflated-torn"].read_bytes()
    found["deflated-torn"].write_bytes(whole[:-60])
    plain, other = (save(folder / "torn-header.dcm", image(number)).read_bytes() for number in (90, 91))
    others = {
        "empty": b"",
        "text": b"only a text, " * 90,
        "prefix-only": b"\0" * 128 + b"DICM",
        "torn-meta": plain[:150],
        "torn-header": plain[:260],
        "torn-pixels": plain[:-300],
        "noise": other[:400] + zlib.compress(plain) + bytes(range(256)) * 3,
        "no-prefix": plain[132:],
        "zeros": bytes(4000),
    }
    for name, content in others.items():
        found[name] = folder / f"{name}.dcm"
        found[name].write_bytes(content)
    implicit = image(92)
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    found["said-explicit"] = save(folder / "said-explicit.dcm", implicit)
    _said_to_be(found["said-explicit"], ExplicitVRLittleEndian)
    found["link-to-nothing"] = folder / "link-to-nothing.dcm"
    found["link-to-nothing"].symlink_to(folder / "nothing")
    found["pipe"] = folder / "pipe.dcm"
    os.mkfifo(found["pipe"])
    return found

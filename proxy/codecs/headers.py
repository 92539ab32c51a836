"""Checks a frame's own header before a codec decodes the frame.

Codecs trust headers. A size far beyond the bytes that follow costs gigabytes or minutes, and absurd values
can crash a codec. So a frame is decoded only if its header matches the metadata. HTJ2K has the youngest
decoder, which returns wrong pixels for a truncated codestream, so unusual HTJ2K is refused too.
"""

import struct

from proxy.codecs.jpeg import Coded, Jpeg, read_jpeg
from proxy.codestream.header import describe
from proxy.codestream.markers import QCC, QCD, SIZ, MainHeader, read_main_header
from proxy.codestream.segments import Coding, Size, read_size, read_style
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError
from proxy.wire.media import HTJ2K_ANY
from proxy.wire.pixels import ImagePixel

LEAST_TILE = 64
"""Minimum width and height in pixels of an HTJ2K tile, if there are several."""
LEAST_PRECINCT = 4
"""Minimum width and height of an HTJ2K precinct, as an exponent of 2."""

_BOXED, _CODESTREAM_BOX = b"\0\0\0\x0cjP  ", b"jp2c"
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC, SIZ (T.800 A.3)
_SOI, _EOI = b"\xff\xd8\xff", b"\xff\xd9"
_SEGMENTS = struct.Struct("<16I")

JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LS_LOSSLESS, JPEG_2000_ANY = (
    f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 70, 80, 91)
)
"""Transfer syntaxes, besides HTJ2K, that `syntax_in` recognizes."""


def syntax_in(content: bytes, pixel: ImagePixel) -> str:
    """Returns the transfer syntax if `content` begins a codestream of this picture; else empty.

    Uncompressed pixels may begin like a codestream, but they do not go on to state their own size.
    """
    try:
        if content.startswith(_SOI):
            jpeg = check_jpeg(content, pixel)
            if jpeg.is_ls:
                return JPEG_LS_LOSSLESS
            deep = JPEG_EXTENDED if jpeg.precision > 8 else JPEG_BASELINE
            return deep if jpeg.is_lossy else JPEG_LOSSLESS
        if content.startswith((_CODESTREAM, _BOXED)):
            main = _main_header(_unboxed(content))
            size = _see_codestream(main, pixel)
            if describe(main, size, read_style(main, size.components)).is_htj2k:
                return HTJ2K_ANY
            return JPEG_2000_ANY
    except CodestreamError:
        pass
    return ""


def check_jpeg(content: bytes, pixel: ImagePixel) -> Jpeg:
    """Checks that a JPEG or JPEG-LS matches the metadata and is complete. Raises `CodestreamError`.

    For truncated data libjpeg invents the missing pixels, and CharLS searches for them: 16 seconds for 500
    bytes.
    """
    found = read_jpeg(content)
    if found is None:
        raise CodestreamError("there is no frame header of JPEG or JPEG-LS")
    if content.find(_EOI, found.at) < 0:  # never inside coded data (T.81 F.1.2.3, T.87 A.1)
        raise CodestreamError("the JPEG or JPEG-LS has no end marker")
    _see_size(pixel, found.rows, found.columns, len(found.components))
    return found


def check_run_lengths(content: bytes, pixel: ImagePixel) -> list[int]:
    """Returns the offsets of the RLE segments and the end of the last one (PS3.5 G.5).

    Raises `CodestreamError` if their number differs from the metadata, or if one lies outside the frame.
    """
    if len(content) < _SEGMENTS.size:
        raise CodestreamError("the RLE frame is shorter than its header")
    count, *starts = _SEGMENTS.unpack_from(content)
    if count != pixel.samples * pixel.allocated // 8:
        raise CodestreamError(f"the RLE frame has {count} segments, but the metadata says otherwise")
    bounds = [_SEGMENTS.size, *starts[:count], len(content)]
    if starts[0] != _SEGMENTS.size or bounds != sorted(bounds):
        raise CodestreamError("RLE segments lie outside the frame")
    return bounds[1:]


def check_jpeg_2000(content: bytes, pixel: ImagePixel) -> Coded:
    """Checks that a codestream, in a JP2 file or not, matches the metadata. Raises `CodestreamError`."""
    main = _main_header(_unboxed(content))
    return _coded(main, _see_codestream(main, pixel))


def check_htj2k(codestream: bytes, pixel: ImagePixel) -> Coded:
    """Checks that a codestream is complete and of a usual form. Raises `CodestreamError`."""
    main = _main_header(codestream)
    size = _see_codestream(main, pixel)
    style = read_style(main, size.components)
    tile, depths = size.tile, (main.first(SIZ) or b"")[36::3]
    least = min(tile.right - tile.left, tile.bottom - tile.top)
    found = (
        (not describe(main, size, style).is_htj2k, "the codestream is not HTJ2K"),
        (any((size.area.left, size.area.top, tile.left, tile.top)), "the codestream has an offset"),
        (size.tiles > 1 and least < LEAST_TILE, "the codestream has tiny tiles"),
        (set(size.samplings) != {(1, 1)}, "the codestream has components of different sizes"),
        (len(set(depths)) != 1, "the codestream has components of different depths"),
        (len({each.is_reversible for each in style.codings}) != 1, "the codestream has several wavelets"),
        (any(map(_has_tiny_precincts, style.codings)), "the codestream has tiny precincts"),
        (not _is_quantized(main, style.codings[0]), "the codestream lacks a step for some bands"),
    )
    for is_so, what in found:
        if is_so:
            raise CodestreamError(what)
    if fault := fault_of(codestream):
        raise CodestreamError(f"the codestream is not complete: {fault}")
    return _coded(main, size)


def _coded(main: MainHeader, size: Size) -> Coded:
    depth = ((main.first(SIZ) or b"")[36] & 0x7F) + 1  # T.800 A.5.1
    return Coded(depth, not all(each.is_reversible for each in read_style(main, size.components).codings))


def _unboxed(content: bytes) -> bytes:
    if content.startswith(_BOXED):
        return content[content.find(_CODESTREAM_BOX) + len(_CODESTREAM_BOX) :]
    return content


def _main_header(codestream: bytes) -> MainHeader:
    main = read_main_header(codestream)
    if main is None:
        raise CodestreamError("the codestream ends in its main header")
    return main


def _see_codestream(main: MainHeader, pixel: ImagePixel) -> Size:
    size = read_size(main)
    columns, rows = size.reduced(0)
    _see_size(pixel, rows, columns, size.components)
    return size


def _see_size(pixel: ImagePixel, rows: int, columns: int, components: int) -> None:
    if (rows, columns, components) != (pixel.rows, pixel.columns, pixel.samples):
        said = f"{pixel.columns}x{pixel.rows}x{pixel.samples}"
        raise CodestreamError(f"the picture has {columns}x{rows}x{components}, but the metadata says {said}")


def _has_tiny_precincts(coding: Coding) -> bool:
    return any(min(each) < LEAST_PRECINCT for each in coding.precincts)


def _is_quantized(main: MainHeader, coding: Coding) -> bool:
    """True if QCD, and each QCC, covers all bands (T.800 table A.27 and A.28)."""
    bodies = [main.first(QCD) or b"", *(body[1:] for body in main.every(QCC))]
    bands = 3 * coding.decompositions + 1
    return all(
        body and len(body) == 1 + {0: bands, 1: 2, 2: 2 * bands}.get(body[0] & 31, -1) for body in bodies
    )

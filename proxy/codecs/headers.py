"""What a frame's own header says, looked at before its codec is let at it.

Codecs believe headers: one that names another size than there are bytes for costs gigabytes or minutes, one
that is absurd a crash. So nothing is decoded that is another picture than the metadata says, and of HTJ2K,
whose decoder is the youngest and returns wrong pixels of a codestream that was cut, nothing unusual either.
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
"""Pixels across and down that a tile of HTJ2K has at least, where there is more than one."""
LEAST_PRECINCT = 4
"""Exponent of 2: of the width and height of a precinct of HTJ2K."""

_BOXED, _CODESTREAM_BOX = b"\0\0\0\x0cjP  ", b"jp2c"
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC, SIZ (T.800 A.3)
_SOI, _EOI = b"\xff\xd8\xff", b"\xff\xd9"
_SEGMENTS = struct.Struct("<16I")

JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LS_LOSSLESS, JPEG_2000_ANY = (
    f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 70, 80, 91)
)
"""What `syntax_in` tells apart, beside HTJ2K."""


def syntax_in(content: bytes, pixel: ImagePixel) -> str:
    """The transfer syntax that first bytes tell, if they begin a codestream of this picture; else empty.

    Pixels that are not compressed may begin as one does, but not go on to name their own size.
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
    """That a JPEG or JPEG-LS is the picture of the metadata, and ends. Raises `CodestreamError`.

    Of one that was cut libjpeg makes up the rest, and CharLS looks for it: 16 seconds in 500 bytes.
    """
    found = read_jpeg(content)
    if found is None:
        raise CodestreamError("no frame header of JPEG or JPEG-LS")
    if content.find(_EOI, found.at) < 0:  # never among coded bits (T.81 F.1.2.3, T.87 A.1)
        raise CodestreamError("a JPEG or JPEG-LS without an end")
    _see_size(pixel, found.rows, found.columns, len(found.components))
    return found


def check_run_lengths(content: bytes, pixel: ImagePixel) -> list[int]:
    """Where the segments of RLE begin, and the end: as many as the metadata says, inside it (PS3.5 G.5).

    Raises `CodestreamError`.
    """
    if len(content) < _SEGMENTS.size:
        raise CodestreamError("an RLE frame that is shorter than its header")
    count, *starts = _SEGMENTS.unpack_from(content)
    if count != pixel.samples * pixel.allocated // 8:
        raise CodestreamError(f"{count} segments of RLE where the metadata says otherwise")
    bounds = [_SEGMENTS.size, *starts[:count], len(content)]
    if starts[0] != _SEGMENTS.size or bounds != sorted(bounds):
        raise CodestreamError("segments of RLE that lie outside of the frame")
    return bounds[1:]


def check_jpeg_2000(content: bytes, pixel: ImagePixel) -> Coded:
    """That a codestream, in a JP2 file or not, is the picture of the metadata. Raises `CodestreamError`."""
    main = _main_header(_unboxed(content))
    return _coded(main, _see_codestream(main, pixel))


def check_htj2k(codestream: bytes, pixel: ImagePixel) -> Coded:
    """That it is whole, and a picture of the usual kind. Raises `CodestreamError`."""
    main = _main_header(codestream)
    size = _see_codestream(main, pixel)
    style = read_style(main, size.components)
    tile, depths = size.tile, (main.first(SIZ) or b"")[36::3]
    least = min(tile.right - tile.left, tile.bottom - tile.top)
    found = (
        (not describe(main, size, style).is_htj2k, "no HTJ2K codestream"),
        (any((size.area.left, size.area.top, tile.left, tile.top)), "a codestream with an offset"),
        (size.tiles > 1 and least < LEAST_TILE, "a codestream of tiny tiles"),
        (set(size.samplings) != {(1, 1)}, "a codestream with components of other sizes"),
        (len(set(depths)) != 1, "a codestream with components of other depths"),
        (len({each.is_reversible for each in style.codings}) != 1, "a codestream of several wavelets"),
        (any(map(_has_tiny_precincts, style.codings)), "a codestream of tiny precincts"),
        (not _is_quantized(main, style.codings[0]), "a codestream without a step for each of its bands"),
    )
    for is_so, what in found:
        if is_so:
            raise CodestreamError(what)
    if fault := fault_of(codestream):
        raise CodestreamError(f"a codestream that is not whole: {fault}")
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
        raise CodestreamError("a codestream that ends in its main header")
    return main


def _see_codestream(main: MainHeader, pixel: ImagePixel) -> Size:
    size = read_size(main)
    columns, rows = size.reduced(0)
    _see_size(pixel, rows, columns, size.components)
    return size


def _see_size(pixel: ImagePixel, rows: int, columns: int, components: int) -> None:
    if (rows, columns, components) != (pixel.rows, pixel.columns, pixel.samples):
        said = f"{pixel.columns}x{pixel.rows}x{pixel.samples}"
        raise CodestreamError(f"a picture of {columns}x{rows}x{components} where the metadata says {said}")


def _has_tiny_precincts(coding: Coding) -> bool:
    return any(min(each) < LEAST_PRECINCT for each in coding.precincts)


def _is_quantized(main: MainHeader, coding: Coding) -> bool:
    """Whether QCD, and each QCC, tells of all bands (T.800 table A.27 and A.28)."""
    bodies = [main.first(QCD) or b"", *(body[1:] for body in main.every(QCC))]
    bands = 3 * coding.decompositions + 1
    return all(
        body and len(body) == 1 + {0: bands, 1: 2, 2: 2 * bands}.get(body[0] & 31, -1) for body in bodies
    )

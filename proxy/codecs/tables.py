"""Applies tables from the metadata: palettes, Modality and VOI LUTs (PS3.3 C.7.6.3.1.5, C.7.9, C.11). Pure.

pydicom's own functions are not used, because they have faults. In 8-bit tables their indices wrap at 256, for
any number of entries. They accept no Modality LUT of 9 to 15 bits, no table with an odd number of bytes, and
no first value below 0 for unsigned pixels. In 16-bit segments they take an offset in bytes for one in words.
`tests/unit/codecs/test_tables.py` covers each of these.
"""

from base64 import b64decode
from binascii import Error
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.errors import CodestreamError
from proxy.wire.display import Palette, Table

Values = NDArray[Any]

_DISCRETE, _LINEAR, _INDIRECT = range(3)


def mapped(values: Values, table: Table) -> NDArray[np.float64]:
    """Maps values through a table. Raises `CodestreamError`."""
    found = _entries(_content(table.content), table.entries)
    index = np.clip(np.rint(values) - table.first, 0, table.entries - 1).astype(np.intp)
    becomes: NDArray[np.float64] = found[index].astype(np.float64)
    return becomes


def most_of(table: Table) -> int:
    """Returns the largest value that a table may have, or has despite its description."""
    return max((1 << min(table.bits, 16)) - 1, int(_entries(_content(table.content), table.entries).max()))


def coloured(stored: Values, palette: Palette) -> NDArray[np.uint8]:
    """Maps indices to colours, by the upper 8 bits if the palette has 16. Raises `CodestreamError`."""
    read = _expanded if palette.is_segmented else _entries_of
    tables = [read(_content(text), palette) for text in palette.tables]
    most = max(int(table.max()) for table in tables)
    depth = palette.bits if 8 <= palette.bits < 16 and most < 1 << palette.bits else 16
    shift = depth - 8 if most > 255 else 0  # some palettes store 8 bits in 16
    index = np.clip(stored.astype(np.int32) - palette.first, 0, palette.entries - 1)
    return np.stack([(table >> shift).astype(np.uint8) for table in tables], axis=-1)[index]


def _content(text: str) -> bytes:
    try:
        return b64decode(text)
    except (Error, ValueError) as error:
        raise CodestreamError("a palette or table in the metadata is not valid Base64") from error


def _entries_of(content: bytes, palette: Palette) -> Values:
    return _entries(content, palette.entries)


def _entries(content: bytes, entries: int) -> Values:
    """Returns the values of a table. The number of bytes tells if they have 8 or 16 bits."""
    if len(content) in (entries, entries + entries % 2):
        return np.frombuffer(content, np.uint8, entries)
    if len(content) != 2 * entries:
        raise CodestreamError(
            f"a palette or table has {len(content)} bytes, but the metadata says {entries} entries"
        )
    return np.frombuffer(content, "<u2")


def _expanded(content: bytes, palette: Palette) -> Values:
    """Expands segments, with the width in the metadata, or with the other width if that fails."""
    widths = (1, 2) if palette.bits <= 8 else (2, 1)
    for width in widths:
        data = np.frombuffer(content[: len(content) // width * width], f"<u{width}").tolist()
        try:
            found = _of_segments(data, width, palette.entries)
        except IndexError:
            continue
        if len(found) == palette.entries:
            return np.array(found, np.uint16)
    raise CodestreamError(f"the segments of the palette do not make its {palette.entries} entries")


def _of_segments(data: list[int], width: int, most: int) -> list[int]:
    """Expands segments to at most `most` values. Raises `IndexError` if they are invalid or make more."""
    found: list[int] = []
    at = 0
    while len(found) < most and at + 1 < len(data):
        opcode, length = data[at : at + 2]
        if opcode == _INDIRECT:  # copies segments, which must not be indirect themselves (PS3.3 C.7.9.2.3)
            words = data[at + 2 : at + 2 + 4 // width]
            place = sum(word << 8 * width * number for number, word in enumerate(words)) // width
            for _ in range(length):
                place = _segment(data, place, found, most)
            at += 2 + 4 // width
        else:
            at = _segment(data, at, found, most)
    return found


def _segment(data: list[int], at: int, found: list[int], most: int) -> int:
    """Appends a discrete or linear segment's values, returns the next offset (PS3.3 C.7.9.2.1 and 2)."""
    opcode, length = data[at], data[at + 1]
    if opcode == _DISCRETE:
        found += data[at + 2 : at + 2 + length]
        at += 2 + length
    elif opcode == _LINEAR and length:
        before, last = found[-1], data[at + 2]
        step = (last - before) / length
        found += np.around(np.linspace(before + step, last, length)).astype(int).tolist()
        at += 3
    else:
        raise IndexError("there is no such segment")
    if len(found) > most:
        raise IndexError("the segments make more values than there are entries")
    return at

"""The tables that metadata brings: palettes, Modality and VOI LUTs (PS3.3 C.7.6.3.1.5, C.7.9, C.11); pure.

pydicom's own functions are not used. In tables of 8 bits their indices wrap at 256, whatever the number of
entries; they take no Modality LUT of 9 to 15 bits, no table of an odd number of bytes, and no first value
below 0 for pixels without a sign; and in segments of 16 bits they take an offset in bytes for one in words.
`tests/unit/codecs/test_tables.py` holds each of these.
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
    """What a table makes of values. Raises `CodestreamError`."""
    found = _entries(_content(table.content), table.entries)
    index = np.clip(np.rint(values) - table.first, 0, table.entries - 1).astype(np.intp)
    becomes: NDArray[np.float64] = found[index].astype(np.float64)
    return becomes


def most_of(table: Table) -> int:
    """The largest value that a table may have, or has in spite of what is said of it."""
    return max((1 << min(table.bits, 16)) - 1, int(_entries(_content(table.content), table.entries).max()))


def coloured(stored: Values, palette: Palette) -> NDArray[np.uint8]:
    """The colours of indices, of the upper 8 bits where a palette has 16. Raises `CodestreamError`."""
    read = _expanded if palette.is_segmented else _entries_of
    tables = [read(_content(text), palette) for text in palette.tables]
    most = max(int(table.max()) for table in tables)
    depth = palette.bits if 8 <= palette.bits < 16 and most < 1 << palette.bits else 16
    shift = depth - 8 if most > 255 else 0  # some have 8 bits in each 16
    index = np.clip(stored.astype(np.int32) - palette.first, 0, palette.entries - 1)
    return np.stack([(table >> shift).astype(np.uint8) for table in tables], axis=-1)[index]


def _content(text: str) -> bytes:
    try:
        return b64decode(text)
    except (Error, ValueError) as error:
        raise CodestreamError("a palette or table in the metadata is no Base64") from error


def _entries_of(content: bytes, palette: Palette) -> Values:
    return _entries(content, palette.entries)


def _entries(content: bytes, entries: int) -> Values:
    """The values of a table, of 8 or 16 bits as the number of bytes says."""
    if len(content) in (entries, entries + entries % 2):
        return np.frombuffer(content, np.uint8, entries)
    if len(content) != 2 * entries:
        raise CodestreamError(
            f"a palette or table of {len(content)} bytes where the metadata says {entries} entries"
        )
    return np.frombuffer(content, "<u2")


def _expanded(content: bytes, palette: Palette) -> Values:
    """The table that segments make, of the width that the metadata says; if they make none, of the other."""
    widths = (1, 2) if palette.bits <= 8 else (2, 1)
    for width in widths:
        data = np.frombuffer(content[: len(content) // width * width], f"<u{width}").tolist()
        try:
            found = _of_segments(data, width, palette.entries)
        except IndexError:
            continue
        if len(found) == palette.entries:
            return np.array(found, np.uint16)
    raise CodestreamError(f"a palette whose segments do not make the {palette.entries} entries that it has")


def _of_segments(data: list[int], width: int, most: int) -> list[int]:
    """Raises `IndexError` for what are no segments, or for more than there are to be."""
    found: list[int] = []
    at = 0
    while len(found) < most and at + 1 < len(data):
        opcode, length = data[at : at + 2]
        if opcode == _INDIRECT:  # copies segments, which are none of its kind (PS3.3 C.7.9.2.3)
            words = data[at + 2 : at + 2 + 4 // width]
            place = sum(word << 8 * width * number for number, word in enumerate(words)) // width
            for _ in range(length):
                place = _segment(data, place, found, most)
            at += 2 + 4 // width
        else:
            at = _segment(data, at, found, most)
    return found


def _segment(data: list[int], at: int, found: list[int], most: int) -> int:
    """Adds what a discrete or a linear segment makes; where the next one begins (PS3.3 C.7.9.2.1 and 2)."""
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
        raise IndexError("no such segment")
    if len(found) > most:
        raise IndexError("more values than there are entries")
    return at

"""The bound on what a deflated file may inflate to (PS3.5 A.5). pydicom inflates the whole at once."""

import zlib
from io import BytesIO

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from proxy.errors import CodestreamError

LEAST, TIMES = 64 * 1024 * 1024, 100
"""Bytes to which any file may inflate, and how many times its own size a larger one may have.

Deflate makes zeros 1,030 times shorter. No image that a viewer shows is nearly as short.
"""
DEFLATED = b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
"""The element TransferSyntaxUID of a deflated file (PS3.10 7.1)."""
META = 64 * 1024
"""Leading bytes in which the file meta information ends."""
PREFIX = 132
"""Bytes of the preamble and the prefix DICM."""
STEP = 1024 * 1024


def is_deflated(leading: bytes) -> bool:
    """True if the leading bytes of a file say that it is deflated."""
    return DEFLATED in leading[:META]


def check_inflated(content: bytes) -> None:
    """Raises `CodestreamError` if the file is deflated and would inflate beyond the bound."""
    if not is_deflated(content):
        return
    file = BytesIO(content)
    file.seek(PREFIX)
    read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_beyond_meta)
    most = max(LEAST, TIMES * len(content))
    inflate, left, size = zlib.decompressobj(-zlib.MAX_WBITS), file.read(), 0
    try:
        while left and not inflate.eof:
            size += len(inflate.decompress(left, STEP))
            left = inflate.unconsumed_tail
            if size > most:
                raise CodestreamError(f"it inflates to more than {most // STEP} MiB")
    except zlib.error as error:
        raise CodestreamError(f"it can't be inflated ({error})") from error


def _is_beyond_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2

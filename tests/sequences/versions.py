"""The frames of the sequences, each in several versions."""

import random
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from proxy.codestream.cutting import cut_reduced
from proxy.codestream.layout import Layout, read_layout
from proxy.frame.identity import Claim, identify
from tests.codestreams import PARTS, htj2k, picture
from tests.scripted_origin import LABEL

Form = Literal["htj2k", "jls", "jpeg", "octets"]
LABELS: dict[Form, str] = {
    "htj2k": LABEL,
    "jls": "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80",
    "jpeg": "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
    "octets": "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
}
"""The media type under which the origin sends each form."""
STARTS: dict[Form, bytes] = {"jls": b"\xff\xd8\xff\xf7", "jpeg": b"\xff\xd8\xff\xe0", "octets": b"\0\1\2\3"}
ALIKE = 5000
"""Leading bytes that twins have in common if they are not HTJ2K. This is more than an ETag covers."""
VERSIONS = 3
"""Number of versions of each frame."""
FRAMES: tuple[tuple[int, dict[str, Any]], ...] = (
    (448, PARTS),
    (384, {}),
    (128, PARTS),
    (64, {}),
    (32, PARTS),
)
"""Edge length and encoder options: longer and shorter than a first fetch, and shorter than an ETag covers."""


def versions(frame: int, *, are_twins: bool, form: Form = "htj2k") -> tuple[bytes, ...]:
    """The versions of a frame (0-based). They differ in length, or are twins of the first one."""
    if form == "htj2k":
        return _twins(frame) if are_twins else _versions(frame)
    return _others(frame, form, are_twins)


@cache
def _others(frame: int, form: Form, are_twins: bool) -> tuple[bytes, ...]:
    """Versions in a form that does not contain its own length. They are as long as the HTJ2K ones."""
    sizes = [len(each) for each in _versions(frame)]
    size, alike = sizes[0], min(ALIKE, sizes[0] // 2)
    start = STARTS[form] + random.Random(f"{frame} {form}").randbytes(alike)[4:]
    chance = [random.Random(f"{frame} {form} {number}") for number in range(VERSIONS)]
    if are_twins:
        return tuple(start + each.randbytes(size - alike) for each in chance)
    return tuple(STARTS[form] + each.randbytes(size - 4) for each, size in zip(chance, sizes, strict=True))


@cache
def _versions(frame: int) -> tuple[bytes, ...]:
    edge, options = FRAMES[frame]
    found = [htj2k(picture(edge, edge, seed=seed + 1), **options) for seed in range(VERSIONS)]
    assert min(b - a for a, b in pairwise(sorted(map(len, found)))) > 1  # a false total differs by one byte
    return tuple(found)


@cache
def _twins(frame: int) -> tuple[bytes, ...]:
    """Versions of equal length, with markers at the same offsets."""
    first, layout = _versions(frame)[0], _layout(_versions(frame)[0])
    ends = [end or 0 for end in layout.ends]
    spans = [*pairwise(ends)] if layout.method == "tlm" else [(sum(ends[-2:]) // 2, ends[-1])]
    found = [bytearray(first) for _ in range(VERSIONS)]
    for mask, twin in enumerate(found):
        for start, stop in spans:
            for at in range(start + 14, stop):  # after SOT and SOD
                twin[at] ^= mask
    return tuple(map(bytes, found))


@cache
def _layout(codestream: bytes) -> Layout:
    layout = read_layout(codestream)
    assert layout is not None
    return layout


@cache
def label_of(codestream: bytes, form: Form) -> str:
    """The media type that the proxy gives the frame."""
    return identify(Claim(LABELS[form].replace(" ", ""), len(codestream), None), codestream).label


@cache
def cut_of(codestream: bytes, size: str) -> bytes:
    """The smaller picture of a size such as 128x128. The codestream itself if `size` is empty."""
    if not size:
        return codestream
    layout = _layout(codestream)
    return cut_reduced(codestream, [f"{x}x{y}" for x, y in layout.sizes].index(size), layout)

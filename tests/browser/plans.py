"""Retrieve configurations as viewers have them, and what each asks of a large image and shows of it."""

from dataclasses import dataclass
from typing import Any

from tests.browser.viewing import FULL, LOSSY, SUBRESOLUTION

KIB = 1024
THREE = [
    {"id": "fast", "retrieveType": "singleFast"},
    {"id": "middle", "retrieveType": "singleMiddle"},
    {"id": "final", "retrieveType": "singleFinal"},
]


@dataclass(frozen=True)
class Plan:
    """One configuration, and what it leads to."""

    retrieve: dict[str, Any]
    """As Cornerstone3D takes it; stages may be a stock plan by name."""
    asked: tuple[str | None, ...]
    """Ranges of the frame as the viewer asks; an open end is None after the dash's number."""
    statuses: tuple[int, ...] = (SUBRESOLUTION, FULL)
    """Qualities in their order."""
    sizes: tuple[int, ...] = (256, 1024)
    """Decoded rows in their order."""
    is_streamed: bool = False
    """Whether the last stage may show more on its way."""


def first(size: int = 64 * KIB, **more: Any) -> dict[str, Any]:
    """A first range of so many bytes, in the words of new viewers."""
    return {"rangeIndex": 0, "chunkSize": size, "initialChunkSize": size, **more}


def two(fast: dict[str, Any], final: dict[str, Any]) -> dict[str, Any]:
    """Cornerstone3D's stock plan for images that come twice."""
    return {"stages": "sequential", "retrieveOptions": {"singleFast": fast, "singleFinal": final}}


def reduced(path: str) -> dict[str, Any]:
    """A smaller picture by a URL of its own. Without the decodeLevel the viewer reduces it once more."""
    asked = {"framesPath": path, "urlArguments": "fsiz=128,128"}
    return {**asked, "imageQualityStatus": SUBRESOLUTION, "decodeLevel": 0}


OHIF = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'}
"""What OHIF puts in the place of Cornerstone3D's own Accept."""

OHIF_LIMITS = {"interaction": 100, "thumbnail": 75, "prefetch": 25}
"""How many requests of a type OHIF has under way at once; Cornerstone3D itself has 1000 of each."""

REST = {"rangeIndex": -1}
BY_RANGE = two(first(decodeLevel=3), REST)
BY_RANGE_WITH_LAST_HOPE = {
    "stages": [
        {"id": "fast", "retrieveType": "singleFast"},
        {"id": "final", "retrieveType": "singleFinal"},
        {"id": "error"},
    ],
    "retrieveOptions": {"singleFast": first(decodeLevel=3), "singleFinal": REST},
}
"""As the documentation has it: where ranges failed, a plain request."""
STREAMING = {"stages": "single", "retrieveOptions": {"single": {"streaming": True, "decodeLevel": 1}}}

STACKS = {
    "whole": Plan({"stages": "single"}, (None,), (FULL,), (1024,)),
    "range 64 KiB": Plan(BY_RANGE, ("bytes=0-65535", "bytes=65536-")),
    "range by default": Plan(
        two({"rangeIndex": 0, "decodeLevel": 3}, REST), ("bytes=0-131071", "bytes=131072-"), sizes=(512, 1024)
    ),
    "three ranges": Plan(
        {
            "stages": THREE,
            "retrieveOptions": {
                "singleFast": first(decodeLevel=3),
                "singleMiddle": {"rangeIndex": 4, "decodeLevel": 0},
                "singleFinal": REST,
            },
        },
        ("bytes=0-65535", "bytes=65536-327679", "bytes=327680-"),
        (SUBRESOLUTION, LOSSY, FULL),
        (256, 1024, 1024),
    ),
    "ranges as of 5.9": Plan(
        {
            "stages": THREE,
            "retrieveOptions": {
                "singleFast": {
                    "rangeIndex": 0,
                    "initialChunkSize": 32 * KIB,
                    "chunkSize": 128 * KIB,
                    "decodeLevel": 3,
                },
                "singleMiddle": {"rangeIndex": 1, "decodeLevel": 2},
                "singleFinal": REST,
            },
        },
        ("bytes=0-32767", "bytes=32768-163839", "bytes=163840-"),
        (SUBRESOLUTION, SUBRESOLUTION, FULL),
        (128, 512, 1024),
    ),
    "reduced, then streaming": Plan(
        two(reduced("/htj2kThumbnail/"), {"streaming": True}),
        (None,),
        sizes=(128, 1024),
        is_streamed=True,
    ),
    "reduced, then range": Plan(two(reduced("/htj2kThumbnail/"), REST), ("bytes=0-",), sizes=(128, 1024)),
    "jpip, then whole": Plan(two(reduced("/jpip?target="), {}), (None,), sizes=(128, 1024)),
}

VOLUMES = {
    "by range": {"multipleFast": first(16 * KIB, decodeLevel=1), "multipleFinal": REST},
    "reduced": {
        "multipleFast": {**reduced("/htj2kThumbnail/"), "urlArguments": "fsiz=64,64"},
        "multipleFinal": {"streaming": True},
    },
}
"""Options beside the stock plan `interleaved`."""

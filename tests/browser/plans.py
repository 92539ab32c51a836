"""Retrieve configurations of viewers, with the requests and pictures that each causes for a large image."""

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
    """A configuration and its expected effects."""

    retrieve: dict[str, Any]
    """Cornerstone3D's retrieve configuration. Stages may be the name of a stock plan."""
    asked: tuple[str | None, ...]
    """Ranges that the viewer requests of the frame. An open end has nothing after its dash."""
    statuses: tuple[int, ...] = (SUBRESOLUTION, FULL)
    """Image quality statuses in order."""
    sizes: tuple[int, ...] = (256, 1024)
    """Decoded rows in order."""
    is_streamed: bool = False
    """True if the last stage can show intermediate results."""


def first(size: int = 64 * KIB, **more: Any) -> dict[str, Any]:
    """Options for a first range of `size` bytes, with the keys of old and new viewers."""
    return {"rangeIndex": 0, "chunkSize": size, "initialChunkSize": size, **more}


def two(fast: dict[str, Any], final: dict[str, Any]) -> dict[str, Any]:
    """Cornerstone3D's stock plan for images that are loaded in two steps."""
    return {"stages": "sequential", "retrieveOptions": {"singleFast": fast, "singleFinal": final}}


def reduced(path: str) -> dict[str, Any]:
    """Options for a smaller picture at its own URL. Without decodeLevel the viewer would reduce it again."""
    asked = {"framesPath": path, "urlArguments": "fsiz=128,128"}
    return {**asked, "imageQualityStatus": SUBRESOLUTION, "decodeLevel": 0}


OHIF = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'}
"""The Accept header that OHIF sends in place of Cornerstone3D's own."""

OHIF_LIMITS = {"interaction": 100, "thumbnail": 75, "prefetch": 25}
"""OHIF's limits for requests of each type at once. Cornerstone3D's own limit is 1000 for each."""

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
"""The documentation's example: a plain request follows if the ranges failed."""
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
"""Options for the stock plan `interleaved`."""

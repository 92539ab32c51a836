"""The frames of the soak. Their bytes follow from path and version, and the version from the time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from random import Random
from typing import Literal

import numpy as np

from tests.codestreams import PARTS, htj2k, main_header, picture
from tests.scripted_origin import LABEL, instance_of

STUDIES, INSTANCES, FRAMES = 8, 12, 4
"""Studies of one series each, instances of a series, and frames of an instance."""
EDGES = (96, 320, 576, 896)
"""Edge lengths of pictures; their codestreams have about 15 kB to 1.2 MB."""
VARIANTS = 3
"""Codestreams of each edge length. Versions that follow each other differ in length."""
OCTETS = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"

Guard = Literal["strong", "weak", "none"]


@dataclass(frozen=True)
class Nature:
    """The properties of a frame that never change."""

    is_htj2k: bool
    edge: int
    guard: Guard
    """The validator that the origin gives."""
    is_revalidated: bool
    """True if the origin wants to be asked before the frame is used again."""
    period: float
    """Seconds after which the frame has another version."""
    phase: float


def series_path(study: int) -> str:
    return f"/studies/1.{study}/series/1.{study}.1"


def instance_path(study: int, instance: int) -> str:
    return f"{series_path(study)}/instances/1.{study}.1.{instance}"


def frame_path(study: int, instance: int, frame: int) -> str:
    """All numbers are 0-based."""
    return f"{instance_path(study, instance)}/frames/{frame + 1}"


def study_of(path: str) -> int:
    return int(path.split("/")[2].split(".")[1])


def metadata(study: int) -> bytes:
    """The metadata of the study's series."""
    uids = [(number, instance_path(study, number).rpartition("/")[2]) for number in range(INSTANCES)]
    return json.dumps([instance_of(uid, number=number, frames=FRAMES) for number, uid in uids]).encode()


@cache
def nature(path: str) -> Nature:
    chance = Random(path)
    period = chance.uniform(120, 600)
    return Nature(
        is_htj2k=chance.random() < 0.75,
        edge=chance.choices(EDGES, (3, 4, 3, 1))[0],
        guard=chance.choices(("strong", "weak", "none"), (8, 1, 1))[0],
        is_revalidated=chance.random() < 0.1,
        period=period,
        phase=chance.uniform(0, period),
    )


def label(path: str) -> str:
    return LABEL if nature(path).is_htj2k else OCTETS


def version(path: str, now: float) -> int:
    """The number of the version that the origin has at this time, in seconds of the monotonic clock."""
    return int((now + nature(path).phase) / nature(path).period)


def etag(path: str, number: int) -> str:
    """The origin's ETag of a version. Empty if it gives none."""
    return {"strong": f'"{number}"', "weak": f'W/"{number}"', "none": ""}[nature(path).guard]


@lru_cache(maxsize=400)
def body(path: str, number: int) -> bytes:
    """The bytes of a version."""
    template = _template(nature(path).edge, number % VARIANTS)
    chance = np.random.default_rng(list(f"{path} {number}".encode()))
    if not nature(path).is_htj2k:
        return chance.bytes(len(template))
    found = bytearray(template)
    for start, stop in _data(template):
        found[start:stop] = chance.bytes(stop - start)
    return bytes(found)


@cache
def _template(edge: int, variant: int) -> bytes:
    size = edge + 8 * variant
    return htj2k(picture(size, size, seed=variant + 1), **PARTS)


def _data(codestream: bytes) -> Iterator[tuple[int, int]]:
    """The data of each tile-part, after its SOD marker."""
    at = main_header(codestream).length
    while codestream[at : at + 2] == b"\xff\x90":
        stop = at + int.from_bytes(codestream[at + 6 : at + 10], "big")
        yield codestream.index(b"\xff\x93", at) + 2, stop
        at = stop

"""Smaller pictures of a frame, cut out of its first bytes without decoding: how they are asked for.

…/htj2kThumbnail/N                    a quarter of width and height, as the static toolkit makes them
…/htj2kThumbnail/N?fsiz=W,H           the smallest resolution of at least W by H pixels
…/frames/N?fsiz=W,H                   the same
…/jpip?target=N?fsiz=W,H              the same; `fsiz` is JPIP's (T.808 C.4.2)
"""

import re
from dataclasses import dataclass, replace
from hashlib import blake2b

from proxy.codestream.cutting import cut_reduced
from proxy.codestream.layout import Layout
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import BadResource
from proxy.frame.frame import Frame
from proxy.frame.identity import Identity
from proxy.wire.request import arguments
from proxy.wire.resource import FrameResource, parse_frame_path

QUARTER = ResolutionTarget(scale=4)
"""What a thumbnail has where no size is asked for."""

_THUMBNAIL = re.compile(r"(.*/instances/[^/]*)/htj2kThumbnail/([^/]*)", re.ASCII)
_JPIP = re.compile(r"(.*/instances/[^/]*)/jpip", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,5})(?:,|%2[Cc])([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reduced:
    """A smaller picture of a frame, as it is asked for."""

    resource: FrameResource
    """The frame."""
    query: str
    """What is left of the query: the origin's business."""
    reach: ResolutionTarget
    """How large the picture is at least."""


def read_reduced(path: str, query: str) -> Reduced | None:
    """Which smaller picture a URL names; None where it names none. Raises `BadResource`.

    >>> read_reduced("studies/1/series/2/instances/3/jpip", "target=4?fsiz=128,128").reach.covers
    (128, 128)
    """
    asked, others = arguments(query, ("fsiz", "target"))
    thumbnail, jpip = _THUMBNAIL.fullmatch(path), _JPIP.fullmatch(path)
    if thumbnail is not None:
        path = f"{thumbnail[1]}/frames/{thumbnail[2]}"
    elif jpip is not None and "target" in asked:
        path = f"{jpip[1]}/frames/{asked['target']}"
    elif "fsiz" not in asked:
        return None
    size = _SIZE.fullmatch(asked.get("fsiz", "0,0"))
    if size is None:
        raise BadResource("fsiz: not width and height in pixels, such as 128,128")
    covers = int(size[1]), int(size[2])
    return Reduced(
        parse_frame_path(path), others, ResolutionTarget(covers=covers) if any(covers) else QUARTER
    )


def cut_out(leading: bytes, layout: Layout | None, resolution: int, identity: Identity) -> Frame:
    """A frame of its own at one resolution, out of the leading bytes of another that hold it.

    Raises `CodestreamError` where it can't be cut: tiles, or an order that does not go by resolution.
    """
    codestream = cut_reduced(leading, resolution, layout)
    claim = replace(identity.claim, total=len(codestream))
    made = replace(identity, claim=claim, digest=f"{identity.digest}-{resolution}", ends=(), copy="")
    if not identity.is_vouched:
        made = made.vouched(blake2b(codestream))
    return Frame(made, (codestream,), len(codestream))

"""Smaller pictures of a frame, cut out of its first bytes without decoding.

URLs that request one:

…/htj2kThumbnail/N                    a quarter of width and height, as static-wado makes thumbnails
…/htj2kThumbnail/N?fsiz=W,H           the smallest resolution of at least W by H pixels
…/frames/N?fsiz=W,H                   the same
…/jpip?target=N?fsiz=W,H              the same, with the `fsiz` of JPIP (T.808 C.4.2)
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
"""The resolution of a thumbnail if the request gives no size."""

_THUMBNAIL = re.compile(r"(.*/instances/[^/]*)/htj2kThumbnail/([^/]*)", re.ASCII)
_JPIP = re.compile(r"(.*/instances/[^/]*)/jpip", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,5})(?:,|%2[Cc])([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reduced:
    """A request for a smaller picture of a frame."""

    resource: FrameResource
    """The frame."""
    query: str
    """The query without `fsiz` and `target`. It goes to the origin unchanged."""
    reach: ResolutionTarget
    """The smallest size that the picture may have."""


def read_reduced(path: str, query: str) -> Reduced | None:
    """The smaller picture that a URL requests, or None if it requests none. Raises `BadResource`.

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
        raise BadResource("fsiz must be width and height in pixels, such as 128,128")
    covers = int(size[1]), int(size[2])
    return Reduced(
        parse_frame_path(path), others, ResolutionTarget(covers=covers) if any(covers) else QUARTER
    )


def cut_out(leading: bytes, layout: Layout | None, resolution: int, identity: Identity) -> Frame:
    """Cuts one resolution (0 is the smallest) out of a frame's leading bytes, as a frame of its own.

    Raises `CodestreamError` if that is impossible: the codestream has several tiles, or its packets are not
    in order of resolution.
    """
    codestream = cut_reduced(leading, resolution, layout)
    claim = replace(identity.claim, total=len(codestream))
    made = replace(identity, claim=claim, digest=f"{identity.digest}-{resolution}", ends=(), copy="")
    if not identity.is_vouched:
        made = made.vouched(blake2b(codestream))
    return Frame(made, (codestream,), len(codestream))

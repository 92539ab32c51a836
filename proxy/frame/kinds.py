"""The kinds of frames that are held, for those who count them."""

from proxy.frame.identity import Claim
from proxy.frame.key import FrameKey
from proxy.wire.wanted import STORED

KINDS = ("frame", "form", "alternate", "made", "picture")
"""A frame as the origin stores it or as HTJ2K, in another form, an alternate, one that the proxy made, and a
rendered picture."""


def kind_of(key: FrameKey, claim: Claim) -> str:
    """The kind of a frame that is held under a key."""
    if key.picture is not None:
        return "picture"
    if claim.resolution:
        return "made"
    if key.frames_path:
        return "alternate"
    return "frame" if key.form in ("", STORED) else "form"

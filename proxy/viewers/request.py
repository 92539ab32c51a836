"""A viewer's request for a frame, as a value."""

from dataclasses import dataclass, replace

from proxy.access.caller import Caller
from proxy.alternates.offered import Alternates
from proxy.alternates.request import FrameAddress, read_address
from proxy.errors import NotAcceptable
from proxy.viewers.response import Conditions, conditions_of
from proxy.wire.media import Envelope, wanted_envelope
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """A viewer's request for a frame."""

    address: FrameAddress
    """The frame, or what is made of it."""
    caller: Caller
    """The caller that asks."""
    profile: str | None
    """Name of the profile that the request asks for."""
    conditions: Conditions
    """Envelope, range and validators."""
    not_reduced: str = ""
    """Why the frame itself is given instead of the smaller picture that was asked for."""
    refused: int = 0
    """The status by which the origin refused to give the alternate, so that it is made; 0 if it did not."""
    is_alone: bool = False
    """True if it is fetched for this request only."""
    is_settled: bool = False
    """True if it waits until nothing but its own bytes names the version, for which all are fetched."""

    def part(self, resource: FrameResource) -> "FrameRequest":
        """The request for one frame of the list."""
        plain = replace(self.conditions, range=None, if_none_match=None, if_range=None)
        return replace(self, address=replace(self.address, resource=resource), conditions=plain)


def frame_request(request: Request, caller: Caller, path: str, alternates: Alternates) -> FrameRequest | None:
    """The request for a frame, a smaller picture or an alternate of it, at a path of an origin; else None.

    Raises `BadResource`, `NotAcceptable`.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    address = read_address(path, request.others, alternates)
    envelope = wanted_envelope(request.accept, address.media) if address else None
    if address is None or envelope is None:
        return None  # the origin answers requests for other forms of a frame
    if address.listed and envelope is Envelope.SINGLE:
        raise NotAcceptable("several frames are given only as multipart/related")
    return FrameRequest(address, caller, request.wanted_profile, conditions_of(request, envelope))

"""A viewer's request for a frame, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
    """A request for one frame, or for a list of frames."""

    address: FrameAddress
    """The frame, and the form in which it is wanted."""
    caller: Caller
    """The caller."""
    profile: str | None
    """Name of the profile that the request asks for; None if it names none."""
    conditions: Conditions
    """Envelope, range and validators."""
    not_reduced: str = ""
    """Why the response is the frame itself instead of the smaller picture; empty if it is not."""
    refused: int = 0
    """The status with which the origin refused the alternate, so that the proxy makes it; 0 if it did not."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the request, by lower-case name."""
    is_alone: bool = False
    """True if the frame is fetched for this request only."""
    is_settled: bool = False
    """True if the response waits for the whole frame, so that a digest of its bytes names the version."""

    def part(self, resource: FrameResource) -> "FrameRequest":
        """The request for one frame of a list."""
        plain = replace(self.conditions, range=None, if_none_match=None, if_range=None, if_match=None)
        return replace(self, address=replace(self.address, resource=resource), conditions=plain)


def frame_request(request: Request, caller: Caller, path: str, alternates: Alternates) -> FrameRequest | None:
    """The request for a frame, or a smaller picture or alternate of it; None if it is not for one.

    `path` is below the origin.

    Raises `BadResource`, `NotAcceptable`.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    address = read_address(path, request.others, alternates)
    envelope = wanted_envelope(request.accept, address.media) if address else None
    if address is None or envelope is None:
        return None  # the origin answers requests for other forms of a frame
    if address.listed and envelope is Envelope.SINGLE:
        raise NotAcceptable("several frames are sent only as multipart/related")
    conditions = conditions_of(request, envelope)
    return FrameRequest(address, caller, request.wanted_profile, conditions, headers=request.fields)

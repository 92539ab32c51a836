"""A viewer's request for a frame, as a value."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from proxy.alternates.offered import Alternates
from proxy.codestream.reach import ResolutionTarget
from proxy.errors import NotAcceptable
from proxy.fetch.retrieve import Retrieval
from proxy.frame.reduced import read_reduced
from proxy.viewers.response import Conditions, conditions_of
from proxy.wire.media import Envelope, wanted_envelope
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource, is_frame_path, parse_frames_path, split_frames_path


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """What a viewer wants of which frame."""

    origin: str
    """Name of the origin."""
    resource: FrameResource
    """The frame."""
    query: str
    """Arguments that are the origin's business."""
    reach: ResolutionTarget | None
    """Which smaller picture of it is to be cut out; None is the frame itself."""
    profile: str | None
    """Name of the profile that the request asks for."""
    conditions: Conditions
    """Envelope, range and validators."""
    request: Request
    """As it came."""
    not_reduced: str = ""
    """Why the frame itself is given where a smaller picture was asked for."""
    listed: tuple[FrameResource, ...] = ()
    """All frames of a list, of which `resource` is the first; empty where there is one alone."""
    made: Callable[[Retrieval], Retrieval] | None = None
    """Makes of a request for the frame one for what is made of it; None is the frame itself."""
    refused: int = 0
    """The status by which the origin refused to give the alternate itself; 0 if it did not."""
    is_alone: bool = False
    """Whether it is fetched for this request only."""
    is_settled: bool = False
    """Whether it waits until nothing but its own bytes names the version, for which all are fetched."""


def frame_request(request: Request, origin: str, path: str, alternates: Alternates) -> FrameRequest | None:
    """The request for a frame, a smaller picture or an alternate of it, at a path of an origin; else None.

    Raises `BadResource`.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    plain, frames_path = split_frames_path(path)
    alternate = alternates.get(frames_path, request.others)
    if alternate is not None:
        path = plain
    reduced = read_reduced(path, request.others) if alternate is None else None
    if reduced is None and not is_frame_path(path):
        return None
    resource, *more = [reduced.resource] if reduced else parse_frames_path(path)
    envelope = wanted_envelope(request.accept, alternate.media if alternate else "")
    if envelope is None:
        return None  # other forms of a frame are the origin's to answer
    if more and envelope is Envelope.SINGLE:
        raise NotAcceptable("several frames are given as multipart/related alone")
    conditions = conditions_of(request, envelope)
    profile = request.profile or request.header("retrieve-profile")
    query, reach = (reduced.query, reduced.reach) if reduced else (request.others, None)
    listed = (resource, *more) if more else ()
    made = partial(alternates.wanted, offered=alternate) if alternate else None
    return FrameRequest(
        origin, resource, query, reach, profile, conditions, request, listed=listed, made=made
    )

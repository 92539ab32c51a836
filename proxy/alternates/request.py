"""What a URL names, and the request that fetches it; built here for viewers and for plans.

So a plan keeps a frame under the same key under which a viewer's request looks for it.
"""

from dataclasses import dataclass

from proxy.access.caller import Caller
from proxy.alternates.offered import ANY_IMAGE, Alternates
from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.fetch.retrieve import Retrieval
from proxy.fetch.turns import Rank
from proxy.frame.key import FrameKey
from proxy.frame.reduced import read_reduced
from proxy.frame.supply import OriginRequest, Validators
from proxy.wire.picture import Picture
from proxy.wire.resource import FrameResource, is_frame_path, parse_frames_path, split_frames_path


@dataclass(frozen=True, slots=True)
class FrameAddress:
    """What a URL below the base of an origin names: a frame, or something that is made of it."""

    resource: FrameResource
    """The frame; the first one of a list."""
    query: str
    """Arguments that mean something to the origin only."""
    target: ResolutionTarget | None = None
    """The smaller picture that is to be cut out of the frame; None for none."""
    frames_path: str = ""
    """Path segment of an alternate; empty for the frame itself."""
    media: str = ""
    """Media type of the alternate, as far as it is known; empty for the frame itself."""
    picture: Picture | None = None
    """The rendered picture of the frame; None for none."""
    listed: tuple[FrameResource, ...] = ()
    """All frames of a list of several; empty for one frame."""

    def key(self, caller: Caller) -> FrameKey:
        """The name under which it is kept for a caller."""
        return FrameKey(
            caller.origin, caller.partition, self.resource, self.query, self.frames_path, self.picture
        )


def read_address(path: str, query: str, alternates: Alternates) -> FrameAddress | None:
    """What a path and a query without our own arguments name; None for no frame. Raises `BadResource`."""
    plain, frames_path = split_frames_path(path)
    media = alternates.media_of(frames_path, query)
    reduced = None if media else read_reduced(path, query)
    if reduced is not None:
        return FrameAddress(reduced.resource, reduced.query, reduced.reach)
    if not media and alternates.is_in_a_profile(frames_path):
        media = ANY_IMAGE
    if not media and not is_frame_path(path):
        return None
    resource, *more = parse_frames_path(plain if media else path)
    listed = (resource, *more) if more else ()
    return FrameAddress(resource, query, None, frames_path if media else "", media, listed=listed)


def retrieval_of(
    address: FrameAddress,
    caller: Caller,
    alternates: Alternates,
    *,
    first: Stop | None,
    stop: Stop | None,
    is_completed: bool,
    validators: Validators,
    planned: Rank | None = None,
    is_made: bool = False,
    is_alone: bool = False,
) -> Retrieval:
    """The request for what an address names. See `Retrieval` for the fields.

    A smaller picture is fetched as far as it reaches, whatever `first` and `stop` say. With `is_made` the
    proxy makes the alternate although the origin might have it.
    """
    key = address.key(caller)
    asked = OriginRequest(key, caller.credentials, caller.trace, validators)
    if address.target is not None:
        first, stop, is_completed = address.target, address.target, False
    is_made = is_made or alternates.is_made(key)
    if is_made:
        first = None
    return Retrieval(asked, first, stop, is_completed, planned, is_made, is_alone)

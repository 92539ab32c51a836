"""The address that a URL names, and the request that fetches it.

Viewers and plans both build their requests here. So a plan stores a frame under the key that a viewer's
request will look up.
"""

from dataclasses import dataclass, replace

from proxy.access.caller import Caller
from proxy.alternates.offered import ANY_IMAGE, Alternates
from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.fetch.retrieve import Retrieval
from proxy.fetch.turns import Rank
from proxy.frame.key import FrameKey
from proxy.frame.reduced import read_reduced
from proxy.frame.supply import OriginRequest, Validators
from proxy.wire.media import wanted_envelope
from proxy.wire.picture import Picture
from proxy.wire.resource import FrameResource, is_frame_path, parse_frames_path, split_frames_path
from proxy.wire.wanted import Wanted, wanted_forms


@dataclass(frozen=True, slots=True)
class FrameAddress:
    """The target of a URL below the origin's base: a frame, an alternate, or a picture of a frame."""

    resource: FrameResource
    """The frame. If the URL lists several, the first one."""
    query: str
    """Query arguments for the origin, without those of the proxy."""
    target: ResolutionTarget | None = None
    """The smaller picture to cut out of the frame. None for the whole frame."""
    frames_path: str = ""
    """Path segment of an alternate. Empty for the frame itself."""
    media: str = ""
    """Media type of the alternate, as far as it is known. Empty for the frame itself."""
    picture: Picture | None = None
    """Parameters of a rendered picture. None if the URL names no rendered picture."""
    listed: tuple[FrameResource, ...] = ()
    """All frames if the URL lists several. Empty if it names one."""
    form: str = ""
    """Form of the frame (`proxy.wire.wanted`). Empty for HTJ2K, and for alternates and pictures."""

    def key(self, caller: Caller) -> FrameKey:
        """The cache key of the address for a caller."""
        return FrameKey(
            caller.origin,
            caller.partition,
            self.resource,
            self.query,
            self.frames_path,
            self.picture,
            self.form,
        )


def read_address(path: str, query: str, alternates: Alternates) -> FrameAddress | None:
    """The address that a path and query name, or None if they name no frame.

    The query must not contain the proxy's own arguments. Raises `BadResource` if the path or a size is
    malformed.
    """
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


def forms_wanted(address: FrameAddress, accept: str | None) -> tuple[Wanted, ...]:
    """The forms in which an address is wanted, best first. Empty if only the origin has what is accepted."""
    if not address.media and address.target is None:
        return wanted_forms(accept)
    envelope = wanted_envelope(accept, address.media)
    return () if envelope is None else (Wanted("", envelope),)


def in_form(address: FrameAddress | None, accept: str | None, form: str) -> FrameAddress | None:
    """The address in the form that an Accept names, or in `form` if it is None. None if there is no form.

    A plan needs this, since its stages are the same for viewers that read different forms.
    """
    forms = forms_wanted(address, accept) if address is not None else ()
    if address is None or not forms:
        return None
    is_free = accept is None and not address.media and address.target is None
    return replace(address, form=form if is_free else forms[0].form)


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
    """Builds the request for an address. `Retrieval` describes the arguments.

    If the address names a smaller picture, `first` and `stop` are ignored and the request reads exactly that
    picture. With `is_made`, the proxy makes the alternate even if the origin might have it.
    """
    key = address.key(caller)
    asked = OriginRequest(key, caller.credentials, caller.trace, validators, caller.identity, caller.person)
    if address.target is not None:
        first, stop, is_completed = address.target, address.target, False
    is_made = is_made or alternates.is_made(key)
    if is_made:
        first = None
    return Retrieval(asked, first, stop, is_completed, planned, is_made, is_alone)

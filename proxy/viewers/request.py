"""A viewer's request for a frame, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from proxy.access.caller import Caller
from proxy.alternates.offered import Alternates
from proxy.alternates.request import FrameAddress, forms_wanted, read_address
from proxy.errors import CodestreamError, NotAcceptable, OriginRefused, OtherForm, ProxyError
from proxy.viewers.response import Conditions, conditions_of
from proxy.wire.media import Envelope
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource
from proxy.wire.wanted import STORED, Wanted, stored_envelope

REFUSALS = frozenset({400, 405, 406, 415})
"""Statuses with which an origin refuses the form of a frame."""


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
    instead: tuple[Wanted, ...] = ()
    """Other forms that the viewer accepts, in the order in which it wants them."""

    @property
    def has_forms(self) -> bool:
        """True if the viewer accepts a form other than HTJ2K."""
        return bool(self.address.form or self.instead)

    def may_be_otherwise(self, error: ProxyError) -> bool:
        """True if an error concerns only the form of the frame, and the viewer accepts more than HTJ2K."""
        is_of_form = isinstance(error, OriginRefused) and error.status in REFUSALS
        return self.has_forms and (is_of_form or isinstance(error, OtherForm) or self._is_not_made(error))

    def _is_not_made(self, error: ProxyError) -> bool:
        """True if no HTJ2K can be made of the frame, but the viewer accepts it as it is stored."""
        is_converted = any(wanted.form == STORED for wanted in self.instead)
        return is_converted and isinstance(error, CodestreamError | NotAcceptable)

    def part(self, resource: FrameResource) -> "FrameRequest":
        """The request for one frame of a list."""
        plain = replace(self.conditions, range=None, if_none_match=None, if_range=None, if_match=None)
        return replace(self, address=replace(self.address, resource=resource), conditions=plain)


def frame_request(request: Request, caller: Caller, path: str, alternates: Alternates) -> FrameRequest | None:
    """The request for a frame, or a smaller picture or alternate of it; None if it is not for one.

    `path` is below the origin. If the viewer accepts only media types that no frame has, the request is not
    for one either.

    Raises `BadResource`, `NotAcceptable`.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    address = read_address(path, request.others, alternates)
    forms = forms_wanted(address, request.accept) if address else ()
    if address is None or not forms:
        return None  # the origin answers requests for anything else
    stored = stored_envelope(request.accept) if alternates.may_be_converted(address.key(caller)) else None
    if stored is not None:
        forms += (Wanted(STORED, stored),)
    if address.listed:  # several frames are sent only as multipart/related
        several = tuple(wanted for wanted in forms if wanted.envelope is Envelope.MULTIPART)
        if not several and not forms[0].form:
            raise NotAcceptable("several frames are sent only as multipart/related")
        forms = several
    if not forms:
        return None
    first, *instead = forms
    conditions = conditions_of(request, first.envelope)
    return FrameRequest(
        replace(address, form=first.form),
        caller,
        request.wanted_profile,
        conditions,
        headers=request.fields,
        instead=tuple(instead),
    )

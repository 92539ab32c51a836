"""Rendered pictures and thumbnails of frames, instances and series (PS3.18 10.4.1.1.3 and 4).

If the origin has none, or should not be asked, the proxy makes them. Each response is one picture. For an
instance it is the first frame, because JPEG and PNG hold a single frame (PS3.18 table 8.7.4-1). For a series
the standard asks for a part for every instance, but the proxy gives only the image in the middle. A thumbnail
is "a meaningful representation" (PS3.18 10.4.3.3.4), and is the image in the middle, too.
"""

from collections.abc import Mapping

from proxy.access.caller import Caller
from proxy.alternates.offered import REFUSALS
from proxy.alternates.renderer import RENDERED
from proxy.alternates.request import FrameAddress
from proxy.cache.kept import Ledger
from proxy.cache.lacking import Lacking
from proxy.codecs.jobs import RenderedBy
from proxy.errors import NotMade
from proxy.fetch.permits import Permits
from proxy.fetch.series import SeriesLists
from proxy.frame.key import FrameKey, SeriesKey
from proxy.viewers.request import FrameRequest
from proxy.viewers.response import conditions_of
from proxy.wire.media import Envelope
from proxy.wire.picture import read_picture
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource, RenderedResource, parse_rendered_path

THUMBNAIL = "/thumbnail/"
"""Path segment of the keys under which the proxy remembers that an origin lacks thumbnails."""
UNCLEAR = frozenset({400, 406, 415})
"""Statuses that may refuse only the arguments or the accepted types, so nothing is learned from them."""


class Pictures:
    """Reads requests for rendered pictures, and remembers which origins lack them."""

    def __init__(
        self, rendered_by: Mapping[str, RenderedBy], lists: SeriesLists, permits: Permits, ledger: Ledger
    ) -> None:
        """`rendered_by` says for each origin, by name, if the origin or the proxy renders."""
        self._rendered_by = rendered_by
        self._lists = lists
        self._permits = permits
        self._lacking = Lacking(ledger=ledger)

    def named(self, request: Request, origin: str, path: str) -> RenderedResource | None:
        """The picture that a request names, if the proxy may make it; else None. Raises `BadResource`."""
        is_ours = request.method in ("GET", "HEAD") and self._rendered_by[origin] != "origin"
        return parse_rendered_path(path) if is_ours else None

    def is_origins(self, caller: Caller, resource: RenderedResource) -> bool:
        """True if the origin is to be asked first.

        It is, if the caller's right is not known. So what others found out tells a refused caller nothing.
        """
        if self._rendered_by[caller.origin] != "if-missing":
            return False
        is_lacking = _key(caller, resource) in self._lacking
        return not (is_lacking and self._permits.knows(caller, resource.study))

    def note(self, request: Request, caller: Caller, resource: RenderedResource, status: int) -> None:
        """Notes the status of the origin's response, once the viewer got the picture."""
        is_there = status == 200
        if is_there or (status in REFUSALS - UNCLEAR and request.method == "GET"):
            self._lacking.note(_key(caller, resource), is_there=is_there)

    async def request(self, request: Request, caller: Caller, resource: RenderedResource) -> FrameRequest:
        """The request for a picture as one for a frame. Raises `BadResource`, `NotAcceptable`, `NotMade`."""
        picture, rest = read_picture(request.others, request.accept, is_thumbnail=resource.is_thumbnail)
        frame = await self._frame_of(resource, caller)
        address = FrameAddress(frame, rest, frames_path=RENDERED, media=picture.media, picture=picture)
        return FrameRequest(address, caller, request.wanted_profile, conditions_of(request, Envelope.SINGLE))

    async def _frame_of(self, wanted: RenderedResource, caller: Caller) -> FrameResource:
        study, series, instance = wanted.study, wanted.series, wanted.instance
        if wanted.frame_number:
            return FrameResource(study, series, instance, wanted.frame_number)
        key = SeriesKey(caller.origin, caller.partition, study, series)
        may_share = self._permits.knows(caller, study)
        frames = await self._lists.get(key, caller.credentials, caller.identity, may_share=may_share)
        if not instance:
            return frames.resource(len(frames) // 2)
        there = frames.frames_of(instance)
        if not there:
            raise NotMade("the series has no such instance")
        return FrameResource(study, series, instance, there // 2 + 1 if wanted.is_thumbnail else 1)


def _key(caller: Caller, resource: RenderedResource) -> FrameKey:
    """The key under which is noted if the origin has the caller's pictures of an instance or a series."""
    frame = FrameResource(resource.study, resource.series, resource.instance, resource.frame_number)
    path = THUMBNAIL if resource.is_thumbnail else RENDERED
    return FrameKey(caller.origin, caller.partition, frame, frames_path=path)

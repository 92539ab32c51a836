"""Rendered pictures and thumbnails of frames, instances and series (PS3.18 10.4.1.1.3 and 4), made here.

To a fill whoever makes one is one more supplier, so a picture is a frame like any other, under its own key.
Of an HTJ2K frame the first bytes are fetched that hold as many pixels as are wanted, of others the whole.

Each is one picture. Of an instance it is the first frame, since JPEG and PNG are for single frames alone
(PS3.18 table 8.7.4-1); of a series, where the standard would have each instance in a part of its own, the
image in its middle. A thumbnail is "a meaningful representation" (10.4.3.3.4): what is in the middle.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial

from proxy.access.caller import Access, Caller
from proxy.alternates.offered import IN_FLIGHT, REFUSALS
from proxy.alternates.renderer import Renderer
from proxy.cache.lacking import Lacking
from proxy.codecs.jobs import RenderedBy
from proxy.codecs.workers import Workers
from proxy.errors import NotMade
from proxy.fetch.fill import GatedSupplier
from proxy.fetch.gate import Gate
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesLists
from proxy.frame.key import FrameKey, SeriesKey
from proxy.origin.window import Window
from proxy.telemetry.metrics import Metrics
from proxy.viewers.request import FrameRequest
from proxy.viewers.response import conditions_of
from proxy.wire.media import Envelope
from proxy.wire.picture import Picture, read_picture
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource, RenderedResource, parse_rendered_path

RENDERED, THUMBNAIL = "/rendered/", "/thumbnail/"
"""What stands in keys instead of `/frames/`."""
UNCLEAR = frozenset({400, 406, 415})
"""Refusals that may be for the arguments or for what the viewer takes, so that nothing is learned of them."""


class Pictures:
    """Those that are made here, by origin."""

    def __init__(
        self,
        rendered_by: Mapping[str, RenderedBy],
        retrieve: Retrieve,
        lists: SeriesLists,
        workers: Workers,
        access: Access,
        metrics: Metrics,
    ) -> None:
        self._rendered_by = rendered_by
        self._retrieve = retrieve
        self._lists = lists
        self._workers = workers
        self._access = access
        self._gate = Gate("rendered", IN_FLIGHT, metrics, window=Window(IN_FLIGHT << 20))
        self._lacking = Lacking()

    def named(self, request: Request, origin: str, path: str) -> RenderedResource | None:
        """The picture that a request is for, if such may be made here; else None. Raises `BadResource`."""
        is_ours = request.method in ("GET", "HEAD") and self._rendered_by[origin] != "origin"
        return parse_rendered_path(path) if is_ours else None

    def is_origins(self, request: Request, origin: str, resource: RenderedResource) -> bool:
        """Whether the origin is to be asked first."""
        is_first = self._rendered_by[origin] == "if-missing"
        return is_first and self._key(request, origin, resource) not in self._lacking

    def note(self, request: Request, origin: str, resource: RenderedResource, status: int) -> None:
        """This was had, after the origin had answered with a status."""
        is_there = status == 200
        if is_there or (status in REFUSALS - UNCLEAR and request.method == "GET"):
            self._lacking.note(self._key(request, origin, resource), is_there=is_there)

    def _key(self, request: Request, origin: str, resource: RenderedResource) -> FrameKey:
        """Of the caller's pictures of an instance, or of a series."""
        frame = FrameResource(resource.study, resource.series, resource.instance, resource.frame_number)
        path = THUMBNAIL if resource.is_thumbnail else RENDERED
        return FrameKey(origin, self._access.caller(origin, request.pairs).partition, frame, frames_path=path)

    async def request(self, request: Request, origin: str, resource: RenderedResource) -> FrameRequest:
        """The request for a picture as one for a frame. Raises `BadResource`, `NotAcceptable`, `NotMade`."""
        picture, rest = read_picture(request.others, request.accept, is_thumbnail=resource.is_thumbnail)
        conditions = conditions_of(request, Envelope.SINGLE)
        frame = await self._frame_of(resource, self._access.caller(origin, request.pairs))
        made = partial(self._wanted, picture=picture)
        profile = request.profile or request.header("retrieve-profile")
        return FrameRequest(origin, frame, rest, None, profile, conditions, request, made=made)

    async def _frame_of(self, wanted: RenderedResource, caller: Caller) -> FrameResource:
        study, series, instance = wanted.study, wanted.series, wanted.instance
        if wanted.frame_number:
            return FrameResource(study, series, instance, wanted.frame_number)
        key = SeriesKey(caller.origin, caller.partition, study, series)
        frames = await self._lists.get(key, caller.credentials)
        if not instance:
            return frames.resource(len(frames) // 2)
        there = frames.frames_of(instance)
        if not there:
            raise NotMade("the series has no such instance")
        return FrameResource(study, series, instance, there // 2 + 1 if wanted.is_thumbnail else 1)

    def _wanted(self, frame: Retrieval, picture: Picture) -> Retrieval:
        """A request for a frame as one for a picture of it."""
        query = f"{frame.key.query} {json.dumps(asdict(picture))}"
        key = replace(frame.key, frames_path=RENDERED, query=query)

        def site() -> GatedSupplier:
            plain = replace(frame, first=None, stop=None, is_completed=True)
            maker = Renderer(plain, picture, self._retrieve, self._lists, self._workers)
            return GatedSupplier(maker, self._gate, maker.lift)

        return replace(frame, key=key, first=None, site=site)

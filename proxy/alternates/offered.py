"""Alternates of frames: the origin's own, or made here. To a fill whoever makes them is one more supplier.

So an alternate is a frame like any other: filled once for all who ask, cached, ranged, planned. What it is
made of comes the way of every frame too, and only as far as it is needed: of an HTJ2K frame the smaller
picture is cut out of its first bytes. Its validator names the version of the frame and what is made of it,
since making that again gives the same bytes.
"""

from collections.abc import Iterable
from dataclasses import replace

from proxy.alternates.transcoder import Transcoder
from proxy.cache.lacking import Lacking
from proxy.codecs.jobs import Offered
from proxy.codecs.workers import Workers
from proxy.errors import OriginRefused
from proxy.fetch.fill import GatedSupplier
from proxy.fetch.gate import Gate
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesLists
from proxy.origin.window import Window
from proxy.telemetry.metrics import Metrics

IN_FLIGHT = 64
"""Alternates that are being made, or wait for what they are made of."""
REFUSALS = frozenset({400, 404, 405, 406, 410, 415, 501})
"""What an origin answers that has no such path; what it was asked for is made here then."""
UNCLEAR = frozenset({400})
"""Those of them that may be for the request and not for the path, so that nothing is learned of them."""


class Alternates:
    """Those that are offered, by the path that they have in URLs."""

    def __init__(
        self,
        offered: Iterable[Offered],
        retrieve: Retrieve,
        lists: SeriesLists,
        workers: Workers,
        metrics: Metrics,
    ) -> None:
        self._by_path = {each.path: each for each in offered}
        self._retrieve = retrieve
        self._lists = lists
        self._workers = workers
        # Making takes none of the origin's bytes and has its own queue: nobody is held back here.
        self._gate = Gate("alternates", IN_FLIGHT, metrics, window=Window(IN_FLIGHT << 20))
        self._lacking = Lacking()

    def get(self, frames_path: str, query: str) -> Offered | None:
        """The one at a path; none where a size is asked for, since such a picture is cut out of the frame."""
        return None if "fsiz=" in query else self._by_path.get(frames_path)

    def wanted(self, frame: Retrieval, offered: Offered) -> Retrieval:
        """A request for a frame as one for an alternate of it."""
        key = replace(frame.key, frames_path=offered.path)
        if offered.made == "never" or (offered.made == "if-missing" and key not in self._lacking):
            query = frame.asked.path.removeprefix(key.resource.path)
            path = key.resource.path_at(offered.path) + query
            return replace(frame, key=key, asked=replace(frame.asked, path=path))

        def site() -> GatedSupplier:
            plain = replace(frame, first=None, stop=None, is_completed=True)
            maker = Transcoder(plain, offered.alternate, self._retrieve, self._lists, self._workers)
            return GatedSupplier(maker, self._gate, maker.lift)

        return replace(frame, key=key, first=None, site=site)

    def instead(self, wanted: Retrieval, refused: OriginRefused) -> Offered | None:
        """What is made here of a frame, now that its origin refused its own; None if nothing is."""
        offered = self._by_path.get(wanted.key.frames_path)
        is_missing = wanted.site is None and refused.status in REFUSALS
        if offered is None or offered.made != "if-missing" or not is_missing:
            return None
        return replace(offered, made="always")

    def learn(self, wanted: Retrieval, refused: int) -> None:
        """This was had; `refused` is the status by which the origin refused it before, or 0.

        Until it was made nobody knows if the origin lacks the alternate or the frame.
        """
        if wanted.key.frames_path in self._by_path and (wanted.site is None or refused in REFUSALS - UNCLEAR):
            self._lacking.note(wanted.key, is_there=wanted.site is None)

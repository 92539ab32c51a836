"""Plans over all series of a study: started by a request, or as a viewer opens the study.

The `prefetch` section of a profile says in `study` how much is fetched ahead once a viewer reads the list of
a study's series, or metadata. The requests have the caller's own credentials, and the form of the viewer's
request, so that the viewer finds them. The series that the viewer opens goes first.

Viewers ask for pictures of series in many forms. So none is read ahead before a viewer has asked the origin
for one, and then in that form. Only its path, its media types and arguments about pictures count: anything
else may prove who that viewer was.
"""

import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from urllib.parse import parse_qsl

from proxy.access.caller import Caller
from proxy.cache.kept import Kept, Ledger
from proxy.errors import OriginError, ProxyError, ServiceFull, TooMany
from proxy.fetch.ahead import JSON, Ahead
from proxy.fetch.reading import ResourceRequest
from proxy.fetch.series import SeriesFrames
from proxy.frame.key import SeriesKey
from proxy.frame.scope import FrameScope
from proxy.plan.study import Depth, SeriesRow, in_order, series_row
from proxy.prefetch.carrier import Carrier
from proxy.prefetch.part import Part
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import NO_LIMIT, Budget, Run, Unopened
from proxy.wire.dicomweb import Kind, StudyResource

MOST_KEPT = 1024
"""Most studies that are remembered as opened by a caller."""

AT_LEAST = 60.0
"""Seconds after which a study is fetched ahead again for the same caller, at the earliest."""

_ABOUT_PICTURES = frozenset({"accept", "annotation", "iccprofile", "quality", "viewport", "window"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """All that is wanted of a study."""

    study: str
    """StudyInstanceUID."""
    profile: str | None = None
    """Name of the profile; None chooses one for each series."""
    depth: Depth = "all"
    """How much is fetched of each series."""
    budget: Budget = NO_LIMIT
    """The most that is fetched of all series together."""
    form: ResourceRequest | None = None
    """A viewer's request, whose form the requests for metadata have; None if there was none."""
    picture: ResourceRequest | None = None
    """A viewer's request for a picture, whose form the requests for pictures have; None for no pictures."""
    frames: str = ""
    """Form of the frames, unless a stage names one."""

    def request(self, resource: StudyResource, path: str) -> ResourceRequest:
        """A request for metadata, or a search."""
        if self.form is None:
            return ResourceRequest(resource, path, JSON, is_any_form=True)
        return replace(self.form, resource=resource, target=path)

    @property
    def search(self) -> ResourceRequest:
        """The request for the list of series; if that is the viewer's own request, it is the same."""
        resource = StudyResource(Kind.SEARCH, self.study)
        if self.form is not None and self.form.resource == resource and "/series" in self.form.target:
            return self.form
        return self.request(resource, f"studies/{self.study}/series")


class StudyPlans:
    """Starts plans over studies."""

    def __init__(
        self, plans: Plans, ahead: Ahead, ledger: Ledger, clock: Callable[[], float] = monotonic
    ) -> None:
        self._plans = plans
        self.ahead = ahead
        """Reads what is beside the frames."""
        self._clock = clock
        self._opened: Kept[tuple[str, str, bytes], float] = Kept(ledger, MOST_KEPT)
        """When a caller opened a study, by origin, study and caller."""
        self._pictures: dict[str, ResourceRequest] = {}
        """The form of the last request of a viewer for a picture of a series, by origin."""

    async def series(self, caller: Caller, wish: Wish, number: int = 0) -> list[SeriesRow]:
        """The series of a study, as the caller may see them. Raises `OriginError`."""
        return await self.ahead.rows(caller, wish.search, series_row, number)

    def start(
        self,
        rows: Sequence[SeriesRow],
        caller: Caller,
        wish: Wish,
        number: int = 0,
        maker: bytes | None = None,
        let_in: Callable[[], Awaitable[object]] | None = None,
    ) -> Run:
        """Starts a plan over these series, in this order. See `Plans.start`."""
        choice = self._plans.chosen.now
        profile = choice.choose(wish.profile, caller.origin, None)
        unopened = Unopened(deque(rows), partial(self._open, wish), wish.depth, wish.frames)
        carrier, study = self._plans.carrier(caller, number, let_in), (caller.origin, wish.study)
        name = secrets.token_urlsafe(12)
        return self._plans.begin(Run(name, profile, carrier, study, [], unopened, wish.budget, maker))

    async def _open(self, wish: Wish, carrier: Carrier, row: SeriesRow) -> Part | None:
        """Reads the metadata of a series, and plans its frames. See `Unopened.open`."""
        resource = StudyResource(Kind.METADATA, wish.study, row.uid)
        await carrier.read(wish.request(resource, f"studies/{wish.study}/series/{row.uid}/metadata"))
        if wish.depth == "metadata" or not row.has_frames:
            return None
        caller, choice = carrier.caller, self._plans.chosen.now
        key = SeriesKey(caller.origin, caller.partition, wish.study, row.uid)
        frames = await carrier.patiently(partial(self._plans.series, key, caller))
        name = choice.choose(wish.profile, caller.origin, frames.facts)
        part = carrier.part(name, choice.profile(name), frames, range(len(frames)), wish.frames)
        if wish.picture is not None and wish.form is not None:
            picture = replace(wish.picture, others=wish.form.others)
            await self._show(picture, carrier, frames)
        if wish.depth == "thumbnails":
            await carrier.show(part, len(frames) // 2)
            return None
        self._plans.places.frames.take(caller.person, len(part.images))
        return part

    async def _show(self, picture: ResourceRequest, carrier: Carrier, frames: SeriesFrames) -> None:
        """Reads the picture of a series as viewers ask for it, if the origin has one."""
        middle = frames.resource(len(frames) // 2)
        with suppress(OriginError):
            await carrier.read(_like(picture, middle.study, middle.series, middle.instance))

    def forget(self, named: FrameScope) -> None:
        """Lets requests set off the studies of a scope again."""
        for key in self._opened:
            if named.touches(key[0], key[1], ""):
                self._opened.pop(key)

    def viewed(self, caller: Caller, asked: ResourceRequest) -> None:
        """A viewer has read a resource, and may open its study. Errors are logged, never raised."""
        resource = asked.resource
        if resource.kind is Kind.PICTURE:
            if resource.series and _is_about_pictures(asked.target):
                self._pictures[caller.origin] = replace(asked, others=())
        elif resource.study and resource.kind in (Kind.METADATA, Kind.SEARCH):
            self._plans.put_first(caller.origin, resource.study, resource.series)
            self._set_off(caller, asked)

    def _set_off(self, caller: Caller, asked: ResourceRequest) -> None:
        choice, study = self._plans.chosen.now, asked.resource.study
        said = choice.profile(choice.choose(None, caller.origin, None)).prefetch
        if said.study == "none" or self._plans.tasks.is_closing:
            return
        key = caller.origin, study, caller.identity or caller.partition
        if (self._opened.get(key) or 0.0) > self._clock():
            return
        self._opened.put(key, self._clock() + max(AT_LEAST, self.ahead.usable_for))
        picture = None if said.study == "metadata" else self._pictures.get(caller.origin)
        budget = Budget(said.study_budget, said.study_requests)
        wish = Wish(study, None, said.study, budget, asked, picture)
        later = self._set_off_later(caller, wish, self._plans.next_number())
        self._plans.tasks.start(secrets.token_urlsafe(12), later)

    async def _set_off_later(self, caller: Caller, wish: Wish, number: int) -> None:
        try:
            rows = in_order(await self.series(caller, wish, number))
            run = self.start(rows, caller, wish, number)
            if wish.form is not None:
                run.put_first(wish.form.resource.series)
        except (TooMany, ServiceFull):
            pass  # it is counted
        except ProxyError as error:
            _log.warning(
                "cannot fetch a study ahead", extra={"origin": caller.origin, "why": type(error).__name__}
            )
        except Exception:  # an uncaught exception would cancel every plan
            _log.exception("cannot fetch a study ahead because of a bug in the proxy")


def _is_about_pictures(target: str) -> bool:
    """True if each argument is one of a rendered picture, so that none is a caller's proof."""
    arguments = parse_qsl(target.partition("?")[2], keep_blank_values=True)
    return all(name in _ABOUT_PICTURES for name, _ in arguments)


def _like(picture: ResourceRequest, study: str, series: str, instance: str) -> ResourceRequest:
    """The same request for a picture of another series, or of an instance in it."""
    path, question, query = picture.target.partition("?")
    parts = path.split("/")
    uids = {"studies": study, "series": series, "instances": instance}
    for place, part in enumerate(parts[:-1]):
        parts[place + 1] = uids.get(part, parts[place + 1])
    own = picture.resource
    resource = StudyResource(own.kind, study, series if own.series else "", instance if own.instance else "")
    return replace(picture, resource=resource, target="/".join(parts) + question + query)

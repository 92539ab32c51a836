"""Plans over HTTP, on the admin listener: create a plan, get its status, follow its events, cancel it.

A plan is about a series, some of its frames, or a whole study.

The proxy forwards the caller's `Authorization` and `Cookie` to the origin, as it does for a viewer, but never
the operator's token. The frames of a plan serve those whom the origin lets read them. A maker whom it refuses
gets no plan.

A plan belongs to its maker. For others its id is unknown, also for an operator: all who make plans have the
operator's token. A maker whom the origin refuses by now can only cancel its plan.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import EventSourceResponse
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy.access.authorizer import Asked
from proxy.access.caller import Access, Caller
from proxy.admin.lock import Lock
from proxy.admin.versions import VERSION
from proxy.errors import BadResource, ConfigurationError, UnknownName
from proxy.fetch.series import ListedFrames, SeriesFrames
from proxy.frame.key import SeriesKey
from proxy.frame.supply import Headers
from proxy.plan.study import Depth, Order, in_order, listed
from proxy.prefetch.following import Following
from proxy.prefetch.part import Part
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Budget, Run
from proxy.prefetch.studies import StudyPlans, Wish
from proxy.telemetry.audit import Audit, sender_of
from proxy.wire.media import MAX_ACCEPT
from proxy.wire.resource import FrameResource, parse_frame_path
from proxy.wire.wanted import first_form

MOST_LISTED = 10_000
"""Most frames that a request can list."""

_EXAMPLE = {"study": "1.2.840.1", "series": "1.2.840.1.2", "profile": "interleaved"}
_LISTED = _EXAMPLE | {"frames": [{"instance": "1.2.840.1.2.7", "frame": 1}]}
_STUDY = {
    "study": "1.2.840.1",
    "accept": "image/jls",
    "modalities": ["CT", "PT"],
    "order": "smallest",
    "fetch": "all",
}
_EXAMPLES: Any = {"series": {"value": _EXAMPLE}, "frames": {"value": _LISTED}, "study": {"value": _STUDY}}
LetIn = Callable[[], Awaitable[object]]
"""Asks if the maker of a plan is still let in. Raises `CallerRefused`."""
_By = tuple[Run, Caller, LetIn]


class NamedFrame(BaseModel):
    """One frame of the series."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    instance: str
    """SOPInstanceUID."""
    frame: int = Field(1, ge=1)
    """1-based frame number."""


class PlanRequest(BaseModel):
    """A request to fetch a study, a series, or some frames of a series."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    origin: str | None = None
    """Name of the origin. May be left out if there is a default origin."""
    study: str
    """StudyInstanceUID."""
    series: str | Annotated[list[str], Field(min_length=1, max_length=MOST_LISTED)] | None = None
    """SeriesInstanceUID; a list for several, in this order. All series of the study if left out."""
    frames: list[NamedFrame] | None = Field(None, min_length=1, max_length=MOST_LISTED)
    """Frames of one series, in the order to fetch them. All frames of the series if left out."""
    profile: str | None = None
    """Name of a profile. If left out, the proxy chooses it for each series as for a viewer's request."""
    accept: str | None = Field(None, min_length=1, max_length=MAX_ACCEPT)
    """Media types that viewers send in `Accept` for frames, such as `image/jls`; HTJ2K if left out. The plan
    fetches the form that they prefer, unless a stage names one in `urlArguments`."""
    order: Order | None = None
    """Order of the series of a study: by `number`, the default, or the `smallest` or `largest` first."""
    modalities: list[str] | None = Field(None, min_length=1, max_length=32)
    """Modalities of the series of a study that go first, in this order."""
    fetch: Depth | None = None
    """How much of each series of a study: its `metadata`, one image (`thumbnails`), the `first` fetch of each
    frame, or `all`, the default."""
    budget: int | None = Field(None, ge=1)
    """Maximum number of bytes to fetch of a study; each series also has that of its profile."""
    requests: int | None = Field(None, ge=1)
    """Maximum number of fetches of a study."""

    @property
    def one_series(self) -> str:
        """SeriesInstanceUID if it is about one series; empty if it is about a study."""
        return self.series if isinstance(self.series, str) else ""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        of_a_study = ("order", "modalities", "fetch", "budget", "requests")
        if isinstance(self.series, str):
            if said := [name for name in of_a_study if getattr(self, name) is not None]:
                raise ValueError(f"only a plan for a study has {said[0]}")
        elif self.frames is not None:
            raise ValueError("frames need one series")
        elif self.series is not None and (self.order or self.modalities):
            raise ValueError("a list of series is an order already")
        return self


class PlanStage(BaseModel):
    """The fields of the viewer's own stage event, and a count. Durations are in milliseconds."""

    stageId: str  # noqa: N815  # the viewer's spelling
    numberOfFailures: int  # noqa: N815
    numberOfImages: int  # noqa: N815
    stageDurationInMS: float | None  # noqa: N815
    startDurationInMS: float | None  # noqa: N815
    numberDone: int  # noqa: N815


class PlanSeries(BaseModel):
    """One series of a study, once its metadata is in."""

    series: str
    profile: str
    frames: int
    bytes: int
    stages: list[PlanStage]


class PlanStatus(BaseModel):
    """The status of a plan. If it is for a study, it has stages by series, and counts series to come.

    `form` is the media type of the frames, unless a stage names another. It is empty for HTJ2K.
    """

    id: str
    profile: str
    form: str
    state: str
    frames: int
    bytes: int
    error: str
    stages: list[PlanStage]
    series: list[PlanSeries]
    unopened: int


def status_of_run(run: Run) -> PlanStatus:
    """The status of a run, without credentials. Only its maker may see it."""
    others, parts = run.unopened, run.parts
    return PlanStatus(
        id=run.id,
        profile=run.profile_name,
        form=parts[0].form if others is None else others.form,
        state=run.state.value,
        frames=run.size,
        bytes=run.fetched,
        error=run.error,
        stages=_stages(parts[0]) if others is None else [],
        series=[] if others is None else [_series(part) for part in parts],
        unopened=0 if others is None else len(others.pending),
    )


def _stages(part: Part) -> list[PlanStage]:
    return [PlanStage(**part.stage_event(count), numberDone=count.done) for count in part.plan.stages]


def _series(part: Part) -> PlanSeries:
    return PlanSeries(
        series=part.frames.key.series,
        profile=part.profile_name,
        frames=len(part.images),
        bytes=part.fetched,
        stages=_stages(part),
    )


def create_plans_api(
    plans: Plans, studies: StudyPlans, access: Access, lock: Lock, default: str | None, audit: Audit
) -> APIRouter:
    """Builds the routes. `default` is the origin of requests that name none. None if there is no default."""
    router, admit = APIRouter(prefix="/plans", tags=["plans"]), partial(_admitted, access, default)
    following = Following(plans, studies)

    @router.post("", status_code=202, summary="Fetch a study, or a series, with a profile.")
    async def make(
        wanted: Annotated[PlanRequest, Body(openapi_examples=_EXAMPLES)], request: Request, response: Response
    ) -> PlanStatus:
        origin = wanted.origin or default
        if origin is None or origin not in plans.chosen.now.by_origin:
            names = ", ".join(plans.chosen.now.by_origin)
            raise UnknownName(f"no origin has that name; the origins are {names}")
        _check(wanted)
        headers = await lock.without_token(request)
        let_in = partial(admit, origin, wanted.study, wanted.one_series, headers)
        caller = await let_in()
        plans.check(caller)
        try:
            begin = _begin_series if wanted.one_series else _begin_study
            run = await begin(plans, studies, wanted, caller, let_in)
        except ConfigurationError as error:  # the profile does not fit this series
            raise BadResource(str(error)) from error
        sender = sender_of(request.client, request.scope["headers"])
        named = {"origin": origin, "study": wanted.study, "series": wanted.one_series, "frames": run.size}
        audit.note("plan", **named, plan=run.id, who=access.who(headers).hex(), **sender)
        response.headers["location"] = f"{VERSION}/plans/{run.id}"
        return status_of_run(run)

    async def found(plan: str, request: Request) -> _By:
        # As a dependency it runs before the response starts, so it can still be a 404.
        headers = await lock.without_token(request)
        run = plans.get(plan, await access.person(headers))
        let_in = partial(admit, *run.study, run.series, headers)
        caller = await let_in()
        if request.method != "DELETE":
            await following.prove(run, caller)
        return run, caller, let_in

    @router.get("/{plan}", summary="The status of a plan: what it has fetched, and what failed.")
    async def look(by: Annotated[_By, Depends(found)]) -> PlanStatus:
        return status_of_run(by[0])

    @router.get(
        "/{plan}/events",
        response_class=EventSourceResponse,
        summary="Server-sent events: one per frame, one per stage, and one at the end.",
    )
    async def follow(
        by: Annotated[_By, Depends(found)],
    ) -> AsyncIterator[ServerSentEvent]:
        async for number, name, fields in following.events(*by):
            yield ServerSentEvent(data=fields, event=name, id=str(number))

    @router.delete("/{plan}", status_code=204, summary="Cancel a plan. Fetches that viewers read go on.")
    async def cancel(by: Annotated[_By, Depends(found)]) -> None:
        plans.cancel(by[0])

    return router


async def _admitted(
    access: Access, default: str | None, origin: str, study: str, series: str, headers: Headers
) -> Caller:
    """Lets in who may read the series, or the study, as a viewer."""
    path = f"studies/{study}/series/{series}" if series else f"studies/{study}"
    asked = Asked("GET", path, path if origin == default else f"{origin}/{path}")
    return await access.admit(origin, asked, headers)


async def _begin_series(
    plans: Plans, _: StudyPlans, wanted: PlanRequest, caller: Caller, let_in: LetIn
) -> Run:
    key = SeriesKey(caller.origin, caller.partition, wanted.study, wanted.one_series)
    frames: SeriesFrames | ListedFrames
    if wanted.frames is None:
        frames = await plans.series(key, caller)
    else:
        frames = ListedFrames(key, tuple(_resource(wanted, frame) for frame in wanted.frames))
    caller = await plans.admit(frames, caller)
    facts = frames.facts if isinstance(frames, SeriesFrames) else None
    profile, form = plans.chosen.now.choose(wanted.profile, caller.origin, facts), first_form(wanted.accept)
    return plans.start(frames, caller, profile, maker=caller.person, let_in=let_in, form=form)


async def _begin_study(
    plans: Plans, studies: StudyPlans, wanted: PlanRequest, caller: Caller, let_in: LetIn
) -> Run:
    plans.chosen.now.choose(wanted.profile, caller.origin, None)  # before the origin is asked
    budget = Budget(wanted.budget, wanted.requests)
    wish = Wish(wanted.study, wanted.profile, wanted.fetch or "all", budget, frames=first_form(wanted.accept))
    rows = await studies.series(caller, wish)
    if isinstance(wanted.series, list):
        rows = listed(rows, wanted.series)
    else:
        rows = in_order(rows, wanted.order or "number", wanted.modalities or ())
    if not rows:
        raise UnknownName("the origin shows no such series of the study")
    return studies.start(rows, caller, wish, maker=caller.person, let_in=let_in)


def _check(wanted: PlanRequest) -> None:
    series = [wanted.series] if isinstance(wanted.series, str) else wanted.series or [wanted.study]
    for uid in series:
        parse_frame_path(FrameResource(wanted.study, uid, uid, 1).path)
    first_form(wanted.accept)


def _resource(wanted: PlanRequest, frame: NamedFrame) -> FrameResource:
    named = FrameResource(wanted.study, wanted.one_series, frame.instance, frame.frame)
    return parse_frame_path(named.path)

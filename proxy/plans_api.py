"""Plans over HTTP, on the admin listener: make one, look at it, follow its events, cancel it.

The caller's own `Authorization` and `Cookie` are forwarded to the origin as a viewer's are, and what is
fetched is found by that credential alone, as everywhere.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import EventSourceResponse
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from proxy.access import Access
from proxy.errors import BadResource, ConfigurationError, UnknownName
from proxy.origin.asked import Headers
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Run
from proxy.series import ListedFrames, SeriesFrames, SeriesKey
from proxy.wire.request import read_headers
from proxy.wire.resource import FrameResource, parse_frame_path

MOST_LISTED = 10_000
"""Frames that may be named one by one."""
PLAN_BYTES = 4 * 1024 * 1024
"""Bytes of the longest request for a plan; so many frames take a quarter of them."""

_EXAMPLE = {"study": "1.2.840.1", "series": "1.2.840.1.2", "profile": "interleaved"}
_LISTED = _EXAMPLE | {"frames": [{"instance": "1.2.840.1.2.7", "frame": 1}]}


class NamedFrame(BaseModel):
    """One frame of the series."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    instance: str
    """SOPInstanceUID."""
    frame: int = Field(1, ge=1)
    """Frame number, from 1."""


class PlanRequest(BaseModel):
    """A series, or frames of it, to be fetched by a profile."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    origin: str | None = None
    """Name of the origin; the default one where there is one."""
    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""
    frames: list[NamedFrame] | None = Field(None, min_length=1, max_length=MOST_LISTED)
    """Frames of the series, in this order; all where none are named."""
    profile: str | None = None
    """Name of a profile; where none is named it is chosen as for a frame."""


class PlanStage(BaseModel):
    """A stage as a viewer's own stage event tells it; durations in milliseconds."""

    stageId: str  # noqa: N815  # the viewer's spelling
    numberOfFailures: int  # noqa: N815
    numberOfImages: int  # noqa: N815
    stageDurationInMS: float | None  # noqa: N815
    startDurationInMS: float | None  # noqa: N815
    numberDone: int  # noqa: N815


class PlanStatus(BaseModel):
    """How far a plan is."""

    id: str
    profile: str
    state: str
    frames: int
    bytes: int
    error: str
    stages: list[PlanStage]


def status_of_run(run: Run) -> PlanStatus:
    """What is told of a plan; no UID and no credential."""
    stages = [PlanStage(**run.stage_event(count), numberDone=count.done) for count in run.plan.stages]
    return PlanStatus(
        id=run.id,
        profile=run.profile_name,
        state=run.state.value,
        frames=len(run.images),
        bytes=run.fetched,
        error=run.error,
        stages=stages,
    )


def create_plans_api(plans: Plans, access: Access, default: str | None) -> APIRouter:
    """The routes; `default` is the origin that has no need of its name."""
    router = APIRouter(prefix="/plans", tags=["plans"])

    @router.post("", status_code=202, summary="Fetch a series by a profile.")
    async def make(
        wanted: Annotated[
            PlanRequest,
            Body(openapi_examples={"series": {"value": _EXAMPLE}, "frames": {"value": _LISTED}}),
        ],
        request: Request,
        response: Response,
    ) -> PlanStatus:
        choice, origin = plans.chosen.now, wanted.origin or default
        if origin is None or origin not in choice.by_origin:
            raise UnknownName(f"no origin of that name; there are {', '.join(choice.by_origin)}")
        pairs = read_headers(request.scope["headers"])
        caller = access.caller(origin, pairs)
        key = SeriesKey(origin, caller.partition, wanted.study, wanted.series)
        _check(wanted)
        frames = await _frames(plans, key, wanted, caller.credentials)
        facts = frames.facts if isinstance(frames, SeriesFrames) else None
        try:
            run = plans.start(frames, caller.credentials, choice.choose(wanted.profile, origin, facts))
        except ConfigurationError as error:  # the profile does not fit this series
            raise BadResource(str(error)) from error
        response.headers["location"] = f"/plans/{run.id}"
        return status_of_run(run)

    def found(plan: str) -> Run:
        return plans.get(plan)  # before anything was said, an unknown one is 404

    @router.get("/{plan}", summary="What is fetched, and what failed.")
    async def look(run: Annotated[Run, Depends(found)]) -> PlanStatus:
        return status_of_run(run)

    @router.get(
        "/{plan}/events",
        response_class=EventSourceResponse,
        summary="One event a frame, one a stage, one at the end.",
    )
    async def follow(run: Annotated[Run, Depends(found)]) -> AsyncIterator[ServerSentEvent]:
        async for event in events_of(run):
            yield event

    @router.delete("/{plan}", status_code=204, summary="End it, but for what viewers read.")
    async def cancel(run: Annotated[Run, Depends(found)]) -> None:
        plans.cancel(run)

    return router


async def _frames(
    plans: Plans, key: SeriesKey, wanted: PlanRequest, credentials: Headers
) -> SeriesFrames | ListedFrames:
    if wanted.frames is None:
        return await plans.series(key, credentials)
    return ListedFrames(key, tuple(_resource(wanted, frame) for frame in wanted.frames))


async def events_of(run: Run) -> AsyncIterator[ServerSentEvent]:
    """The events of a plan from its beginning, as far as they are kept, to its end."""
    told = 0
    while True:
        news = [event for event in run.events if event[0] > told]
        for told, name, fields in news:
            yield ServerSentEvent(data=fields, event=name, id=str(told))
        if news and news[-1][1] == "end":
            return
        if not news:
            await run.next_event()


def _check(wanted: PlanRequest) -> None:
    parse_frame_path(FrameResource(wanted.study, wanted.series, wanted.series, 1).path)


def _resource(wanted: PlanRequest, frame: NamedFrame) -> FrameResource:
    return parse_frame_path(FrameResource(wanted.study, wanted.series, frame.instance, frame.frame).path)

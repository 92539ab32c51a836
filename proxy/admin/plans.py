"""Plans over HTTP, on the admin listener: create a plan, get its status, follow its events, cancel it.

The proxy forwards the caller's `Authorization` and `Cookie` to the origin, as it does for a viewer, but never
the operator's token. The frames of a plan serve those whom the origin lets read them. A maker whom it refuses
gets no plan.

A plan belongs to its maker. For others its id is unknown, also for an operator: all who make plans have the
operator's token.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import EventSourceResponse
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from proxy.access.authorizer import Asked
from proxy.access.caller import Access, Caller
from proxy.admin.lock import Lock
from proxy.admin.versions import VERSION
from proxy.errors import BadResource, ConfigurationError, UnknownName
from proxy.fetch.series import ListedFrames, SeriesFrames
from proxy.frame.key import SeriesKey
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Run
from proxy.telemetry.audit import Audit, sender_of
from proxy.wire.resource import FrameResource, parse_frame_path

MOST_LISTED = 10_000
"""Most frames that a request can list."""

_EXAMPLE = {"study": "1.2.840.1", "series": "1.2.840.1.2", "profile": "interleaved"}
_LISTED = _EXAMPLE | {"frames": [{"instance": "1.2.840.1.2.7", "frame": 1}]}


class NamedFrame(BaseModel):
    """One frame of the series."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    instance: str
    """SOPInstanceUID."""
    frame: int = Field(1, ge=1)
    """1-based frame number."""


class PlanRequest(BaseModel):
    """A request to fetch a series, or some of its frames, with a profile."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    origin: str | None = None
    """Name of the origin. May be left out if there is a default origin."""
    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""
    frames: list[NamedFrame] | None = Field(None, min_length=1, max_length=MOST_LISTED)
    """Frames of the series, in the order to fetch them. All frames of the series if left out."""
    profile: str | None = None
    """Name of a profile. If left out, the proxy chooses it as for a viewer's request."""


class PlanStage(BaseModel):
    """The fields of the viewer's own stage event, and a count. Durations are in milliseconds."""

    stageId: str  # noqa: N815  # the viewer's spelling
    numberOfFailures: int  # noqa: N815
    numberOfImages: int  # noqa: N815
    stageDurationInMS: float | None  # noqa: N815
    startDurationInMS: float | None  # noqa: N815
    numberDone: int  # noqa: N815


class PlanStatus(BaseModel):
    """The status of a plan."""

    id: str
    profile: str
    state: str
    frames: int
    bytes: int
    error: str
    stages: list[PlanStage]


def status_of_run(run: Run) -> PlanStatus:
    """The status of a run, without UIDs or credentials."""
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


def create_plans_api(
    plans: Plans, access: Access, lock: Lock, default: str | None, audit: Audit
) -> APIRouter:
    """Builds the routes. `default` is the origin of requests that name none. None if there is no default."""
    router = APIRouter(prefix="/plans", tags=["plans"])

    async def admit(origin: str, study: str, series: str, headers: list[tuple[str, str]]) -> Caller:
        """Lets in who may read the series as a viewer."""
        path = f"studies/{study}/series/{series}"
        asked = Asked("GET", path, path if origin == default else f"{origin}/{path}")
        return await access.admit(origin, asked, headers)

    @router.post("", status_code=202, summary="Fetch a series with a profile.")
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
            raise UnknownName(f"no origin has that name; the origins are {', '.join(choice.by_origin)}")
        _check(wanted)
        headers = await lock.without_token(request)
        caller = await admit(origin, wanted.study, wanted.series, headers)
        key = SeriesKey(origin, caller.partition, wanted.study, wanted.series)
        plans.check(caller)
        frames = await _frames(plans, key, wanted, caller)
        caller = await plans.admit(frames, caller)
        facts = frames.facts if isinstance(frames, SeriesFrames) else None
        try:
            profile = choice.choose(wanted.profile, origin, facts)
            let_in = partial(admit, origin, wanted.study, wanted.series, headers)
            run = plans.start(frames, caller, profile, maker=caller.person, let_in=let_in)
        except ConfigurationError as error:  # the profile does not fit this series
            raise BadResource(str(error)) from error
        sender = sender_of(request.client, request.scope["headers"])
        named = {"origin": origin, "study": key.study, "series": key.series, "frames": len(frames)}
        audit.note("plan", **named, plan=run.id, who=access.who(headers).hex(), **sender)
        response.headers["location"] = f"{VERSION}/plans/{run.id}"
        return status_of_run(run)

    async def found(plan: str, request: Request) -> Run:
        # As a dependency it runs before the response starts, so it can still be a 404.
        headers = await lock.without_token(request)
        run = plans.get(plan, await access.person(headers))
        key = run.frames.key
        await admit(key.origin, key.study, key.series, headers)
        return run

    @router.get("/{plan}", summary="The status of a plan: what it has fetched, and what failed.")
    async def look(run: Annotated[Run, Depends(found)]) -> PlanStatus:
        return status_of_run(run)

    @router.get(
        "/{plan}/events",
        response_class=EventSourceResponse,
        summary="Server-sent events: one per frame, one per stage, and one at the end.",
    )
    async def follow(run: Annotated[Run, Depends(found)]) -> AsyncIterator[ServerSentEvent]:
        async for number, name, fields in run.events.follow():
            yield ServerSentEvent(data=fields, event=name, id=str(number))

    @router.delete("/{plan}", status_code=204, summary="Cancel a plan. Fetches that viewers read go on.")
    async def cancel(run: Annotated[Run, Depends(found)]) -> None:
        plans.cancel(run)

    return router


async def _frames(
    plans: Plans, key: SeriesKey, wanted: PlanRequest, caller: Caller
) -> SeriesFrames | ListedFrames:
    if wanted.frames is None:
        return await plans.series(key, caller)
    return ListedFrames(key, tuple(_resource(wanted, frame) for frame in wanted.frames))


def _check(wanted: PlanRequest) -> None:
    parse_frame_path(FrameResource(wanted.study, wanted.series, wanted.series, 1).path)


def _resource(wanted: PlanRequest, frame: NamedFrame) -> FrameResource:
    return parse_frame_path(FrameResource(wanted.study, wanted.series, frame.instance, frame.frame).path)

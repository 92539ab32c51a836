"""Studies to warm, over HTTP on the admin listener: how far that has come, begin it now, cancel it.

It needs the operator's token only. The origin is asked with the credentials that the configuration names.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from proxy.prefetch.warm import COUNTS
from proxy.prefetch.warming import Warming
from proxy.telemetry.audit import Audit, sender_of

_EXAMPLES: Any = {"all": {"value": {}}, "one": {"value": {"names": ["worklist"]}}}


class WarmRequest(BaseModel):
    """A request to begin now."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    names: list[str] = Field(default_factory=list, max_length=1000)
    """Names of what to warm. All if left out."""


class WarmStatus(BaseModel):
    """How far one has come, this time or the last. Times have their time zone."""

    name: str
    state: str
    studies: int
    done: int
    skipped: int
    failed: int
    bytes: int
    requests: int
    error: str
    began: datetime | None
    ended: datetime | None
    next: datetime | None


def status_of(warming: Warming) -> list[WarmStatus]:
    """How far each has come. It tells of no study."""
    return [
        WarmStatus(
            name=name,
            state=str(progress.state),
            error=progress.error,
            began=progress.began,
            ended=progress.ended,
            next=warming.next.get(name),
            **{count: getattr(progress, count) for count in COUNTS},
        )
        for name, progress in warming.progress.items()
    ]


def create_warm_api(warming: Warming, audit: Audit) -> APIRouter:
    """Builds the routes."""
    router = APIRouter(prefix="/warm", tags=["warm"])

    @router.get("", summary="How far each has come that the configuration names in `warm`.")
    async def look() -> list[WarmStatus]:
        return status_of(warming)

    @router.post("", status_code=202, summary="Begin now. One that runs goes on.")
    async def begin(
        wanted: Annotated[WarmRequest, Body(openapi_examples=_EXAMPLES)], request: Request
    ) -> list[WarmStatus]:
        warming.start(wanted.names)
        audit.note("warm", names=wanted.names, **sender_of(request.client, request.scope["headers"]))
        return status_of(warming)

    @router.delete("", status_code=204, summary="Cancel all that run. The caches keep their frames.")
    async def cancel() -> None:
        warming.cancel()

    return router

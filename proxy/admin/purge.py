"""Purges over HTTP, on the admin listener: drop all that is held of a study, a series or an instance.

With each of them, the proxy forgets who may read the study, and asks the origin again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from fastapi import APIRouter, Request

from proxy.access.caller import Access
from proxy.admin.noting import operator_of
from proxy.errors import UnknownName
from proxy.frame.scope import FrameScope
from proxy.telemetry.audit import Audit
from proxy.wire.resource import FrameResource, parse_frame_path


def create_purge_api(
    forget: Callable[[FrameScope], Awaitable[None]], origins: Iterable[str], access: Access, audit: Audit
) -> APIRouter:
    """Builds the routes. `forget` drops a scope; `origins` are the names of all origins."""
    router = APIRouter(prefix="/cache", tags=["cache"])
    names = tuple(origins)

    at_study, at_series = "/studies/{study}", "/studies/{study}/series/{series}"

    @router.delete(at_study, status_code=204, summary="Drop all that is held of a study.")
    async def purge_study(request: Request, study: str, origin: str | None = None) -> None:
        await purge(request, origin, study)

    @router.delete(at_series, status_code=204, summary="Drop all that is held of a series.")
    async def purge_series(request: Request, study: str, series: str, origin: str | None = None) -> None:
        await purge(request, origin, study, series)

    @router.delete(
        f"{at_series}/instances/{{instance}}",
        status_code=204,
        summary="Drop all that is held of an instance.",
    )
    async def purge_instance(
        request: Request, study: str, series: str, instance: str, origin: str | None = None
    ) -> None:
        await purge(request, origin, study, series, instance)

    async def purge(
        request: Request, origin: str | None, study: str, series: str = "", instance: str = ""
    ) -> None:
        """Drops a scope at one origin, or at all of them.

        Raises `UnknownName`, `BadResource`, `NotForgotten`.
        """
        if origin is not None and origin not in names:
            raise UnknownName(f"no origin has that name; the origins are {', '.join(names)}")
        parse_frame_path(FrameResource(study, series or study, instance or study, 1).path)  # are these UIDs?
        at = names if origin is None else (origin,)
        dropping = (forget(FrameScope(name, study, series, instance)) for name in at)
        faults = await asyncio.gather(*dropping, return_exceptions=True)
        named = {"study": study, "series": series, "instance": instance}
        audit.note("purge", origin=origin, **named, **operator_of(request, access))
        for fault in filter(None, faults):
            raise fault

    return router

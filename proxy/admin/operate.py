"""The operators' side of the admin listener: the status, as it is or as a stream, and two orders.

The purge of a study is in `proxy.admin.purge`, a plan for a study or a series in `proxy.admin.plans`.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from proxy.access.caller import Access
from proxy.admin.live import Live, Stream
from proxy.admin.noting import operator_of
from proxy.admin.status import Hour, Status
from proxy.errors import UnknownName
from proxy.prefetch.plans import Plans
from proxy.telemetry.audit import Audit


def create_status_api(
    status: Callable[[], Awaitable[Status]], hour: Callable[[], Awaitable[Hour]], live: Live
) -> APIRouter:
    """Builds the routes that tell how the service is."""
    router = APIRouter(prefix="/status", tags=["status"])

    @router.get("", summary="The service as it is now.")
    async def look() -> Status:
        return await status()

    @router.get("/hour", summary="The last hour: delivery times of each minute that has ended.")
    async def look_back() -> Hour:
        return await hour()

    @router.get(
        "/events",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {}}}},
        summary="Server-sent events: `status` each second, `hour` each minute, and `end`.",
    )
    async def follow() -> Response:
        return Stream(live)

    return router


def create_orders_api(
    plans: Plans, forget_forms: Callable[[str], None], origins: tuple[str, ...], access: Access, audit: Audit
) -> APIRouter:
    """Builds the routes by which operators change something.

    `forget_forms` is given the name of an origin.
    """
    router = APIRouter(tags=["status"])

    @router.delete(
        "/status/plans/{plan}",
        status_code=204,
        summary="End a plan of any caller. Fetches that viewers read go on.",
    )
    async def end_plan(request: Request, plan: str) -> None:
        run = plans.end(plan)
        origin, study = run.study
        named = {"origin": origin, "study": study, "series": run.series or "", "plan": run.id}
        audit.note("end-plan", **named, **operator_of(request, access))

    @router.delete(
        "/origins/{origin}/forms",
        status_code=204,
        summary="Forget which forms of request an origin understands, and learn them anew.",
    )
    async def forget(request: Request, origin: str) -> None:
        if origin not in origins:
            raise UnknownName(f"no origin has that name; the origins are {', '.join(origins)}")
        forget_forms(origin)
        audit.note("forget-forms", origin=origin, **operator_of(request, access))

    return router

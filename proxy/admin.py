"""The admin listener: metrics, health and plans, apart from the viewers' (FastAPI; none of it is hot)."""

from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from proxy.errors import ProxyError
from proxy.metrics import Metrics
from proxy.problem import details_of, status_of


def create_admin(metrics: Metrics, not_ready_because: Callable[[], str], plans: APIRouter) -> FastAPI:
    """The admin app; `not_ready_because` gives the reason, or an empty text when all is well."""
    app = FastAPI(
        title="progressive-proxy", summary="Metrics, health and plans.", docs_url=None, redoc_url=None
    )
    app.include_router(plans)

    @app.exception_handler(ProxyError)
    async def problem(_: Request, error: ProxyError) -> JSONResponse:
        media = "application/problem+json"
        return JSONResponse(details_of(error), status_of(error), media_type=media)

    @app.get("/metrics", response_class=Response, summary="Prometheus exposition.")
    async def metrics_page() -> Response:
        body, media = metrics.exposition()
        return Response(body, headers={"content-type": media})

    @app.get("/livez", summary="200 while the process answers.")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="200 once each origin has answered, 503 before and while ending.")
    async def readyz(response: Response) -> dict[str, str]:
        reason = not_ready_because()
        if reason:
            response.status_code = 503
        return {"status": reason or "ok"}

    return app

"""The admin app: metrics, health, and what operators see and do, on another listener than the viewers'.

It uses FastAPI, because none of these routes is performance-critical. All but metrics and health are locked.
"""

import mimetypes
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from proxy.access.bounds import Bound
from proxy.admin.lock import Lock
from proxy.admin.operators import DOCS, PAGE, PROBLEM, Operators, problem
from proxy.admin.playground import create_playground_api
from proxy.admin.readiness import Readiness
from proxy.admin.versions import VERSION, Versioned
from proxy.errors import ProxyError
from proxy.origin.forms import OriginReport
from proxy.page.assets import Assets
from proxy.telemetry.telemetry import Telemetry

TABS = {"operate.html": "Operate", "playground.html": "Playground"}
"""The pages that stand side by side."""


def create_admin(
    telemetry: Telemetry,
    readiness: Readiness,
    origins: Callable[[], dict[str, OriginReport]],
    locked: Iterable[APIRouter],
    lock: Lock,
    bound: Bound,
) -> FastAPI:
    """Builds the admin app. `origins` returns a report for each origin, by name.

    `bound` has the places of all requests that are locked.
    """
    if not mimetypes.inited:  # it reads files, which the first request for a file of the page would wait for
        mimetypes.init()
    app = FastAPIOffline(
        DOCS,
        None,
        title="progressive-proxy",
        summary="Metrics, health, status, configuration, origins, plans and purges.",
        version=version("progressive-proxy"),
        redirect_slashes=False,
        static_url=f"{DOCS}/assets",
        # The page must not have a stranger's server look at the description.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.add_middleware(Operators, lock=lock, bound=bound)
    app.add_middleware(Versioned)
    guarded = [Depends(HTTPBearer(auto_error=False, description="The token in admin.token_file."))]
    for routes in (*locked, create_playground_api()):
        app.include_router(routes, prefix=VERSION, dependencies=guarded)

    _add_page(app, lock)

    _add_problems(app)

    @app.get("/metrics", response_class=Response, summary="Prometheus exposition.")
    def metrics_page(request: Request) -> Response:  # in a thread, because it reads files
        body, media = telemetry.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media})

    @app.get("/livez", summary="200 while the process responds.")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="200 if ready, else 503. `?verbose` returns one line per check.")
    async def readyz(verbose: str | None = None) -> Response:
        reason = readiness.not_ready_because()
        status = 503 if reason else 200
        if verbose is not None:
            return PlainTextResponse("".join(f"{line}\n" for line in readiness.lines()), status)
        return JSONResponse({"status": reason or "ok"}, status)

    @app.get(
        f"{VERSION}/origins",
        dependencies=guarded,
        summary="How the proxy queries each origin, and how the origin has behaved.",
    )
    async def origins_page() -> dict[str, OriginReport]:
        return origins()

    return app


def create_part(routers: Iterable[APIRouter], lock: Lock) -> FastAPI:
    """An app with the page and some of the routes, for a process that answers only these itself."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    for routes in routers:
        app.include_router(routes, prefix=VERSION)
    _add_problems(app)
    _add_page(app, lock)
    return app


def _add_problems(app: FastAPI) -> None:
    """Lets errors be answered as problem details (RFC 9457)."""

    @app.exception_handler(ProxyError)
    async def refused(_: Request, error: ProxyError) -> JSONResponse:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def wrong_body(_: Request, error: RequestValidationError) -> JSONResponse:
        # The framework's own response would repeat the values that the client sent.
        faults = [
            (fault["type"] == "extra_forbidden", fault["loc"], fault["msg"]) for fault in error.errors()
        ]
        words = [
            "an unknown key" if is_key else f"{'.'.join(map(str, at))}: {what}" for is_key, at, what in faults
        ]
        return _said(422, "BadBody", "; ".join(words[:10]))

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> JSONResponse:
        title = HTTPStatus(error.status_code).phrase.replace(" ", "")
        return _said(error.status_code, title, str(error.detail), error.headers)


def _add_page(app: FastAPI, lock: Lock) -> None:
    async def access(request: Request) -> Response:
        # The page asks for a token only if one helps. A try without one would be an error in the browser.
        return JSONResponse({"needs": lock.needs(request)}, headers={"cache-control": "no-store"})

    app.add_route(f"{PAGE}/access", access, include_in_schema=False)
    app.mount(PAGE, Assets("operate.html", tabs=TABS, is_strict=True))
    for path in ("/", PAGE):
        app.add_route(path, _to_page, include_in_schema=False)


async def _to_page(_: Request) -> Response:
    return RedirectResponse(f"{PAGE[1:]}/")  # relative, so that it holds behind a prefix too


def _said(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = {"status": status, "title": title, "detail": detail}
    return JSONResponse(body, status, headers, PROBLEM)

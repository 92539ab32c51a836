"""The page's live Cornerstone3D: tells how far its bundle is, and serves it."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from proxy.demo.bundle import Bundle


def servers_of(asked: Iterable[str]) -> list[str]:
    """Returns the servers of a page's policy with each name below `localhost`, all of which are this machine.

    Each load has a name of its own, so that the browser's cache has nothing of an earlier one.

    >>> servers_of(["http://127.0.0.1:8080"])
    ['http://*.localhost:8080']
    """
    return sorted({f"http://*.localhost:{urlsplit(base).port}" for base in asked})


class Live:
    """The answers below the path of the bundle."""

    def __init__(self, bundle: Bundle, policy: str) -> None:
        """`policy` is the Content-Security-Policy of the bundle's scripts."""
        self._bundle = bundle
        self._policy = policy
        self.app = Starlette(
            routes=[
                Route("/", self.state),
                Route("/", self.begin, methods=["POST"]),
                Route("/{name}", self.file),
            ]
        )
        """The application to mount."""

    async def state(self, _: Request) -> Response:
        """Tells how far the bundle is."""
        told = {"state": self._bundle.state, "reason": self._bundle.reason}
        return JSONResponse(told, headers={"cache-control": "no-store"})

    async def begin(self, request: Request) -> Response:
        """Begins to make the bundle, and tells how far it is."""
        self._bundle.begin()
        return await self.state(request)

    async def file(self, request: Request) -> Response:
        """Serves a file of the bundle."""
        path = self._bundle.file(request.path_params["name"])
        if path is None:
            return PlainTextResponse("there is no such file\n", 404)
        headers = {"content-security-policy": self._policy, "cache-control": "no-cache"}
        media = {".js": "text/javascript", ".wasm": "application/wasm"}[path.suffix]
        return FileResponse(path, media_type=media, headers=headers)

"""The server of the page that compares ways to load a study. It listens on loopback only.

The page itself fetches frames: from the origin and through the proxy, over lines of the demo. This server
tells it what to load, changes the network, empties the proxy's cache, and draws the bytes that the page
posts, exactly as they arrived. It never fetches a frame.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.access.admission import admission_of
from proxy.codecs.workers import Workers
from proxy.demo.bundle import Bundle
from proxy.demo.drawing import draw, drawing_workers, layout_of
from proxy.demo.lines import Lines
from proxy.demo.live import Live, servers_of
from proxy.demo.serving import serve
from proxy.demo.study import Studies, read_studies
from proxy.demo.ways import NAMES, WAYS, fetches_of
from proxy.errors import BadRequest, BodyTooLong, ConfigurationError, OriginMismatch, ProxyError, UnknownName
from proxy.measure.network import PRESETS, Network, parse_network
from proxy.measure.server import Server
from proxy.page.assets import Assets, headers_of_pages, policy
from proxy.page.playground import Playground
from proxy.settings.playground import shown
from proxy.wire.dicomjson import read_json
from proxy.wire.problem import details_of, status_of
from proxy.wire.via import Via

TABS = {"compare.html": "Compare", "live.html": "Cornerstone3D", "playground.html": "Playground"}
"""The pages, by file."""
MOST_BODY = 64 * 1024 * 1024
"""Bytes of a frame that may be posted; more than the demo's largest."""
MOST_IMAGES = 1000
"""Frames of a series to plan for."""
SETTLED_WITHIN = 30.0
"""Seconds to wait until the proxy has ended what earlier loads began."""

_FILLS = re.compile(r"^progress\w+_fills_in_flight(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """The servers and lines that the page uses."""

    origin: str
    """Base of the origin, without a line."""
    admin: str
    """Base of the proxy's admin listener."""
    direct: Mapping[str, str]
    """For each way, the base of the origin behind the way's own line."""
    proxied: Mapping[str, str]
    """For each way, the base of the proxy's origin that uses another line of the way's own."""
    kept: Path
    """Folder for what is installed once."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Returns the servers that the page may ask, for its policy."""
        bases = (*self.direct.values(), *self.proxied.values())
        return tuple("/".join(base.split("/")[:3]) for base in bases)


def run(listener: socket.socket, place: Place, network: Network, told: socket.socket) -> None:
    """Serves the page until SIGTERM. `told` is the socket to the lines."""
    serve(create_page(place, Lines(network, told)), listener, lifespan="on")


def create_page(place: Place, lines: Lines) -> ASGIApp:
    """Creates the page's server as an ASGI application. Reads the page's files."""
    desk, bundle = _Desk(place, lines, drawing_workers()), Bundle(place.kept)
    live = policy(servers_of(place.asked), has_wasm=True)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        async with (
            Server(place.origin) as desk.origin,
            Server(place.admin) as desk.admin,
            desk.workers,
            aclosing(bundle),
        ):
            yield

    routes = [
        Route("/state", desk.state),
        Route("/fetches", desk.fetches),
        Route("/network", desk.change_network, methods=["POST"]),
        Route("/prepare", desk.prepare, methods=["POST"]),
        Route("/clear", desk.clear, methods=["POST"]),
        Route("/layout", desk.layout, methods=["POST"]),
        Route("/picture", desk.picture, methods=["POST"]),
        Route("/v1/playground", Playground(shown).answer, methods=["POST"]),
        Mount("/cornerstone", Live(bundle, live).app),
        Mount("/", Assets("compare.html", place.asked, TABS, {"live.html": live})),
    ]

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProxyError)
        return JSONResponse(details_of(error), status_of(error))

    async def left(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    handlers = {ProxyError: refused, ClientDisconnect: left}
    return _Door(Starlette(routes=routes, lifespan=running, exception_handlers=handlers))


class _Door:
    """Refuses requests of other sites' pages, and by other names than loopback's. Guards every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._admission = admission_of(Via(), ["127.0.0.1"], (), (), has_own_proof=False)
        self._headers = [(name.encode(), value.encode()) for name, value in headers_of_pages().items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = [pair for pair in self._headers if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            self._admission.admit(scope["method"].encode(), dict(scope["headers"]))
        except ProxyError as error:
            await JSONResponse(details_of(error), status_of(error))(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


class _Desk:
    """The answers to the page's own requests."""

    origin: Server
    admin: Server

    def __init__(self, place: Place, lines: Lines, workers: Workers) -> None:
        self.workers = workers
        self._place = place
        self._lines = lines
        self._studies: Studies | None = None
        self._turn = asyncio.Lock()

    async def studies(self) -> Studies:
        """All that there is to load. It is read again until something is found."""
        if self._studies is None or not self._studies.series:
            self._studies = await read_studies(self.origin)
        return self._studies

    async def state(self, _: Request) -> Response:
        """Describes the series, the ways to load them, the servers and the network."""
        studies = await self.studies()
        has_jls = bool(studies.series) and await self._has_jls(studies.series[0].paths[0])
        ways = [
            {
                "name": way.name,
                "title": way.title,
                "says": way.says,
                "kinds": way.kinds,
                "isProgressive": way.is_progressive,
                "opens": way.opens,
                "direct": self._place.direct[way.name],
                "proxied": self._place.proxied[way.name],
            }
            for way in WAYS
            if has_jls or not way.has_jls
        ]
        told = {
            "series": [each.described() for each in studies.series],
            "ways": ways,
            "network": _described(self._lines.network),
            "presets": [_described(network) for network in PRESETS.values()],
        }
        return JSONResponse(told, headers={"cache-control": "no-store"})

    async def _has_jls(self, path: str) -> bool:
        async with self.origin.ask(path.replace("/frames/", "/jls/"), {"Accept": "image/jls"}) as response:
            return response.status_code == 200

    async def fetches(self, request: Request) -> Response:
        """The requests of a way, in order."""
        way, images = request.query_params.get("way", ""), request.query_params.get("images", "")
        if way not in NAMES:
            raise UnknownName(f"no such way; ways are {', '.join(NAMES)}")
        count = int(images) if re.fullmatch(r"[0-9]{1,4}", images, re.ASCII) else 0
        if not 0 < count <= MOST_IMAGES:
            raise BadRequest(f"images: must be a number from 1 to {MOST_IMAGES}")
        found = await asyncio.to_thread(lambda: list(fetches_of(way, count)))
        return JSONResponse([[each.image, each.segment, each.range] for each in found])

    async def change_network(self, request: Request) -> Response:
        """Changes the network of all lines."""
        told = await _json(request)
        try:
            network = parse_network(str(told.get("network")))
        except ConfigurationError as error:
            raise BadRequest(str(error)) from error
        async with self._turn:
            await self._lines.change(network)
        return JSONResponse(_described(network))

    async def prepare(self, request: Request) -> Response:
        """Ends what earlier loads began, and empties the proxy's cache of a study, so that all is cold."""
        study = str((await _json(request)).get("study"))
        if study not in {each.study for each in (await self.studies()).series}:
            raise UnknownName("the page offers no such study")
        async with self._turn:
            await self._settle()
            await self.admin.purge(study)
        return Response(status_code=204)

    async def clear(self, _: Request) -> Response:
        """Empties the proxy's cache of all studies."""
        async with self._turn:
            await self._settle()
            for study in {each.study for each in (await self.studies()).series}:
                await self.admin.purge(study)
        return Response(status_code=204)

    async def _settle(self) -> None:
        """Waits until no fill is in progress. Its line is opened meanwhile, so that this takes no minutes."""
        if not await self._fills():
            return
        await self._lines.open_wide()
        try:
            async with asyncio.timeout(SETTLED_WITHIN):
                while await self._fills():  # noqa: ASYNC110  # the proxy tells only when it is asked
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise OriginMismatch("the proxy did not end what it had begun", "fills") from error
        finally:
            await self._lines.close_again()

    async def _fills(self) -> float:
        async with self.admin.ask("metrics", {}) as response:
            text = (await response.aread()).decode("utf-8", "replace")
        return sum(float(value) for value in _FILLS.findall(text))

    async def layout(self, request: Request) -> Response:
        """Tells the ends of a codestream's resolutions, as far as its first bytes do."""
        layout = layout_of(await _body(request))
        if layout is None:
            return JSONResponse({"sizes": [], "ends": []})
        return JSONResponse({"sizes": layout.sizes, "ends": layout.ends})

    async def picture(self, request: Request) -> Response:
        """The picture that the posted bytes hold."""
        wanted = request.query_params.get("side", "0")
        side = int(wanted) if re.fullmatch(r"[0-9]{1,5}", wanted, re.ASCII) else 0
        pixel, display = (await self.studies()).shown(request.query_params.get("frame", ""))
        drawn = await draw(self.workers, await _body(request), pixel, display, side)
        headers = {"picture": f"{drawn.columns} {drawn.rows} {drawn.reduce}", "cache-control": "no-store"}
        return Response(drawn.png, media_type="image/png", headers=headers)


def _described(network: Network) -> dict[str, Any]:
    """Returns a network as people write it: Mbit/s and ms. No rate is no limit."""
    shaped = network.is_shaped
    return {
        "name": network.name,
        "down": network.down / 1e6 if shaped else None,
        "up": network.up / 1e6 if shaped else None,
        "latency": network.latency * 1e3,
    }


async def _json(request: Request) -> dict[str, Any]:
    try:
        told = read_json(await _body(request))
    except ValueError as error:
        raise BadRequest("the body must be JSON") from error
    if not isinstance(told, dict):
        raise BadRequest("the body must be a JSON object")
    return told


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise BodyTooLong(f"the body has more than {MOST_BODY} bytes")
    return bytes(body)

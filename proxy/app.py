"""The service: its parts put together, its life span, the way of a request to frames or through.

`App` is the viewers' ASGI application, without a framework, since frames are hot. Paths are taken from
`raw_path`: a decoded path could differ from the one that is asked for at the origin.
"""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Collection, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import uvloop
from starlette.types import Receive, Scope, Send

from proxy import logs
from proxy.access import CREDENTIALS, Access
from proxy.admin import create_admin
from proxy.alternates.workers import Workers
from proxy.cache.memory import MemoryStore
from proxy.cors import shared
from proxy.delivery import Progress
from proxy.errors import InternalFault, OriginError, ProxyError, ShuttingDown, UnknownName
from proxy.fill.fill import Site
from proxy.fill.table import Fills
from proxy.frames import Frames, frame_request
from proxy.gate import Gate
from proxy.http1 import Rules
from proxy.listeners import Listener, open_socket, serve
from proxy.metrics import Metrics
from proxy.origin.client import Origin
from proxy.origin.credentials import aws, basic, basic_from_environment, bearer
from proxy.origin.forms import OriginReport
from proxy.origin.transport import Limits, Tls, Transport
from proxy.passing import checked_target, hand_through
from proxy.plan.choice import Chosen
from proxy.plans_api import create_plans_api
from proxy.prefetch.plans import Plans
from proxy.problem import send_problem
from proxy.reload import Reload
from proxy.rendering import Pictures
from proxy.retrieve import Retrieve
from proxy.sections import OriginSettings, split_address
from proxy.series import SeriesKey, SeriesLists
from proxy.settings import Settings
from proxy.transcode import REFUSALS, Alternates
from proxy.wire.request import Request, read_request
from proxy.wire.resource import parse_series_metadata_path
from proxy.wire.via import Via

GREET_AGAIN = 1.0
"""Seconds between tries to reach an origin at start."""

_log = logging.getLogger(__name__)

TransportOf = Callable[[OriginSettings], httpx.AsyncBaseTransport]


def rust_transport(origin: OriginSettings) -> Transport:
    """The transport that is used outside tests."""
    timeouts, tls = origin.timeouts, origin.tls
    limits = Limits(timeouts.connect, timeouts.first_byte, timeouts.stall)
    return Transport(limits, Tls(tls.ca_file, tls.certificate_file, tls.key_file, tls.http2))


def own_credentials(origin: OriginSettings) -> httpx.Auth | None:
    """What an origin gets instead of the viewers' credentials, if anything. Raises `ConfigurationError`."""
    own = origin.credentials
    if own.bearer_file is not None:
        return bearer(own.bearer_file)
    if own.user is not None and own.password_file is not None:
        return basic(own.user, own.password_file)
    if own.user is not None and own.password_env is not None:
        return basic_from_environment(own.user, own.password_env)
    return aws(own.aws_region, own.aws_service) if own.aws_region is not None else None


class App:
    """One service: the viewers' application, and beside it the admin's."""

    def __init__(self, settings: Settings, transport_of: TransportOf = rust_transport) -> None:
        self.metrics = Metrics()
        self.settings = settings
        self._via = Via()
        self._said = self._via.after(None).encode()
        cache = settings.cache
        store = MemoryStore(cache.bytes, cache.first_share, cache.ttl, self.metrics)
        self.origins = {o.name: self._origin(o, transport_of(o)) for o in settings.origins}
        self.sites = {o.name: self._site(o) for o in settings.origins}
        self.fills = Fills(store, self.metrics)
        self._access = Access(settings.access)
        self.chosen = Chosen(settings.choice())
        retrieve = Retrieve(self.sites, store, self.fills)
        self._lists = SeriesLists(self.origins)
        at_work = settings.workers
        self.workers = Workers(at_work.number, at_work.memory, at_work.seconds)
        self._alternates = Alternates(settings.offered, retrieve, self._lists, self.workers, self.metrics)
        by = {origin.name: origin.rendered for origin in settings.origins}
        self._pictures = Pictures(by, retrieve, self._lists, self.workers, self._access, self.metrics)
        self.plans = Plans(retrieve, self._lists, self.chosen, self._alternates, self.metrics)
        self._frames = Frames(
            retrieve,
            self._access,
            self.chosen,
            self._lists,
            self.plans,
            self._alternates,
            self.metrics,
            pause=settings.listen.pause,
            log_uids=settings.log.uids,
        )
        default = settings.default_origin
        api = create_plans_api(self.plans, self._access, default.name if default else None)
        self.admin = create_admin(self.metrics, self.not_ready_because, self._origins, api)
        cors = settings.cors
        self.viewers = shared(
            self,
            cors.origins,
            headers=cors.headers,
            credentials=cors.credentials,
            private_network=cors.private_network,
            max_age=cors.max_age,
        )
        self._unreached = set(self.sites)
        self._is_ending = False

    def _origin(self, origin: OriginSettings, transport: httpx.AsyncBaseTransport) -> Origin:
        return Origin(
            origin.name,
            origin.url,
            transport,
            self.metrics,
            origin.limits.frame_bytes,
            own_credentials(origin),
            keeps_labels=origin.labels == "origin",
            via=self._via,
        )

    @property
    def rules(self) -> Rules:
        """What a request has to keep at either listener."""
        listen = self.settings.listen
        return Rules(
            listen.url_bytes,
            listen.header_bytes,
            listen.header_seconds,
            self.settings.admission(self._via).admit,
            lambda reason: self.metrics.refused_requests.labels(reason).inc(),
        )

    def _site(self, origin: OriginSettings) -> Site:
        gate = Gate(origin.name, origin.limits.in_flight, self.metrics, origin.limits.per_second)
        return Site(self.origins[origin.name], gate)

    def _origins(self) -> dict[str, OriginReport]:
        return {name: origin.report() for name, origin in self.origins.items()}

    def not_ready_because(self) -> str:
        """Why this service should get no requests; empty when it should."""
        if self._is_ending:
            return "ending"
        return f"not reached yet: {', '.join(sorted(self._unreached))}" if self._unreached else ""

    async def keep_looking(self, path: Path) -> None:
        """Takes changes of the configuration file into force, until cancelled."""
        await Reload(path, self.settings, self.chosen, self.metrics).keep_looking()

    def end(self) -> None:
        """Not ready from now on."""
        self._is_ending = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The life span: inside it fills can be carried out."""
        greeting = [asyncio.create_task(self._greet(name)) for name in self.sites]
        try:
            async with self.workers, self.fills.tasks, self.plans.tasks:
                yield
        finally:
            for task in greeting:
                task.cancel()
            self._lists.close()
            for origin in self.origins.values():
                await origin.aclose()

    async def _greet(self, name: str) -> None:
        """Reaches an origin once, which also leaves a connection open for the first viewer."""
        while name in self._unreached:
            try:
                await self.origins[name].greet()
                self._unreached.discard(name)
            except OriginError as error:
                _log.warning("origin not reached", extra={"origin": name, "why": str(error)})
                await asyncio.sleep(GREET_AGAIN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of a viewer."""
        if scope["type"] != "http":
            return
        progress = Progress(perf_counter(), self._said)
        try:
            request = read_request(
                scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
            )
            await self._answer(request, receive, send, progress)
        except ProxyError as error:
            if progress.has_started:
                # The connection is closed before its announced length: the viewer sees that it was cut.
                self.metrics.cut_answers.labels(type(error).__name__).inc()
            else:
                await send_problem(send, error, _range_of(scope))
        except asyncio.CancelledError:
            # What the server itself would say of an end after grace is a text, which viewers take for pixels.
            if not progress.has_started:
                await send_problem(send, ShuttingDown("the service is ending"), _range_of(scope))
            raise
        except Exception:
            _log.exception("a fault of ours")
            if not progress.has_started:
                await send_problem(send, InternalFault("a fault inside the proxy"), _range_of(scope))

    async def _answer(self, request: Request, receive: Receive, send: Send, progress: Progress) -> None:
        name, path = self._origin_of(request)
        asked = frame_request(request, name, path, self._alternates)
        picture = None if asked else self._pictures.named(request, name, path)
        if picture is not None:
            if self._pictures.is_origins(name, picture):
                if await self._hand_through(request, receive, send, progress, REFUSALS) not in REFUSALS:
                    return
                self._pictures.is_missing(name, picture)
            asked = await self._pictures.request(request, name, picture)
        if asked is not None:
            await self._frames.answer(asked, receive, send, progress)
            return
        # What we do not hold, other forms of a frame among it, is the origin's to answer.
        await self._hand_through(request, receive, send, progress)

    def _origin_of(self, request: Request) -> tuple[str, str]:
        """The origin that a path is for, and the path there. Raises `UnknownName`."""
        first, _, rest = request.path.partition("/")
        if first in self.sites:
            return first, rest
        default = self.settings.default_origin
        if default is None:
            raise UnknownName(f"no origin of that name; there are {', '.join(self.sites)}")
        return default.name, request.path

    async def _hand_through(
        self, request: Request, receive: Receive, send: Send, progress: Progress, unless: Collection[int] = ()
    ) -> int:
        async def sending(message: MutableMapping[str, Any]) -> None:
            progress.has_started = True
            await send(message)

        name, path = self._origin_of(request)
        target = checked_target(path, request.query)
        origin = self.origins[name]
        pairs = list(request.pairs)
        status = await hand_through(origin, request.method, target, pairs, receive, sending, unless)
        series = parse_series_metadata_path(path)
        if series is not None and status == 200 and request.method == "GET":
            proofs = tuple((header, value) for header, value in request.pairs if header in CREDENTIALS)
            key = SeriesKey(name, self._access.partition(proofs), *series)
            self.plans.metadata_read(key, proofs)
        return status


def _range_of(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"range"), None)


def create_app(settings: Settings) -> App:
    """The service with these settings, not yet running."""
    return App(settings)


def run(
    settings: Settings,
    viewers: socket.socket | None = None,
    admin: socket.socket | None = None,
    path: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, on these sockets or on those of the settings. Raises `OSError`.

    With the path of its configuration it takes changes of that into force.
    """
    logs.configure(settings.log.level, settings.log.format)
    listen = settings.listen
    viewers = viewers or open_socket(*split_address(listen.viewers))
    admin = admin or open_socket(*split_address(listen.admin))
    app = create_app(settings)
    # All this stays. Each time that the collector went through it, nobody was served for 13 to 53 ms.
    gc.collect()
    gc.freeze()
    uvloop.run(_serve(app, viewers, admin, path))


async def _serve(app: App, viewers: socket.socket, admin: socket.socket, path: Path | None) -> None:
    stop = asyncio.Event()

    def end() -> None:
        app.end()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    grace = app.settings.listen.grace
    async with app.running():
        _log.info("serving", extra={"viewers": viewers.getsockname()[:2], "admin": admin.getsockname()[:2]})
        looking = asyncio.create_task(app.keep_looking(path)) if path else None
        rules = app.rules
        both = Listener(app.viewers, viewers, grace, rules), Listener(app.admin, admin, grace, rules)
        await serve(*both, stop, app.plans.tasks.close)  # whoever follows a plan hears of its end
        if looking is not None:
            looking.cancel()

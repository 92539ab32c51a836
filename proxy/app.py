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
from dataclasses import replace
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
from proxy.cache.named import Named
from proxy.changing import SAFE, Change, named_by
from proxy.cors import shared
from proxy.delivery import Progress
from proxy.errors import (
    InternalFault,
    OriginError,
    OriginUnreachable,
    ProxyError,
    ShuttingDown,
    UnknownName,
)
from proxy.fill.fill import Site
from proxy.fill.table import Fills
from proxy.frames import Frames, frame_request
from proxy.gate import Gate
from proxy.listeners import Listener, open_socket, serve
from proxy.metrics import Metrics
from proxy.origin.client import Origin
from proxy.origin.credentials import aws, basic, basic_from_environment, bearer
from proxy.origin.forms import OriginReport
from proxy.origin.transport import Limits, Tls, Transport
from proxy.passing import checked_target, hand_through
from proxy.plan.choice import Chosen
from proxy.plans_api import PLAN_BYTES, create_plans_api
from proxy.prefetch.plans import Plans
from proxy.problem import send_problem
from proxy.readiness import Readiness
from proxy.reload import Reload
from proxy.rendering import Pictures
from proxy.retrieve import Retrieve
from proxy.rules import Rules
from proxy.sections import OriginSettings, split_address
from proxy.series import SeriesKey, SeriesLists
from proxy.settings import Settings
from proxy.transcode import REFUSALS, Alternates
from proxy.window import Window
from proxy.wire.request import Request, read_request
from proxy.wire.resource import RenderedResource, parse_series_metadata_path
from proxy.wire.via import Via

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

    def __init__(
        self,
        settings: Settings,
        transport_of: TransportOf = rust_transport,
        window_of: Callable[[], Window] = Window,
    ) -> None:
        self.metrics = Metrics()
        self.settings = settings
        self._via = Via()
        self._said = self._via.after(None).encode()
        cache = settings.cache
        store = MemoryStore(cache.bytes, cache.first_share, cache.ttl, self.metrics)
        windows = {o.name: window_of() for o in settings.origins}
        self.origins = {o.name: self._origin(o, transport_of(o), windows[o.name]) for o in settings.origins}
        self.sites = {o.name: self._site(o, windows[o.name]) for o in settings.origins}
        self.fills = Fills(store, self.metrics)
        self._access = Access(settings.access, settings.forward)
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
        self.readiness = Readiness(settings.ready, tuple(self.origins.values()))
        self.admin = create_admin(self.metrics, self.readiness, self._origins, api)
        cors = settings.cors
        self.viewers = shared(
            self,
            cors.origins,
            headers=cors.headers,
            credentials=cors.credentials,
            private_network=cors.private_network,
            max_age=cors.max_age,
        )

    def _origin(self, origin: OriginSettings, transport: httpx.AsyncBaseTransport, window: Window) -> Origin:
        return Origin(
            origin.name,
            origin.url,
            transport,
            self.metrics,
            origin.limits.frame_bytes,
            own_credentials(origin),
            keeps_labels=origin.labels == "origin",
            window=window,
            is_trusted=origin.trust == "dicom",
            via=self._via,
        )

    @property
    def rules(self) -> Rules:
        """What a request has to keep at the viewers' listener."""
        listen = self.settings.listen
        return Rules(
            listen.url_bytes,
            listen.header_bytes,
            listen.header_seconds,
            admit=self.settings.admission(self._via).admit,
            count=lambda reason: self.metrics.refused_requests.labels(reason).inc(),
        )

    @property
    def admin_rules(self) -> Rules:
        """The same at the admin's, which holds a whole body."""
        return replace(self.rules, body_bytes=PLAN_BYTES)

    def _site(self, origin: OriginSettings, window: Window) -> Site:
        gate = Gate(origin.name, origin.limits.in_flight, self.metrics, origin.limits.per_second, window)
        return Site(self.origins[origin.name], gate)

    def _origins(self) -> dict[str, OriginReport]:
        return {name: origin.report() for name, origin in self.origins.items()}

    async def keep_looking(self, path: Path) -> None:
        """Takes changes of the configuration file into force, until cancelled."""
        await Reload(path, self.settings, self.chosen, self.metrics).keep_looking()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The life span: inside it fills can be carried out."""
        for origin in self.settings.origins:
            if origin.trust == "dicom":
                _log.warning("frames are trusted not to change", extra={"origin": origin.name})
        greeting = asyncio.create_task(self.readiness.greet_all())
        try:
            async with self.workers, self.fills.tasks, self.plans.tasks:
                yield
        finally:
            greeting.cancel()
            self._lists.close()
            for each in self.origins.values():
                await each.aclose()

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
            await self._show(picture, request, receive, send, progress)
        elif asked is not None:
            await self._frames.answer(asked, receive, send, progress)
        else:  # other forms of a frame among it
            await self._hand_through(request, receive, send, progress)

    async def _show(
        self, picture: RenderedResource, request: Request, receive: Receive, send: Send, progress: Progress
    ) -> None:
        """The origin's own picture, or else one that is made here."""
        name, status = self._origin_of(request)[0], 0
        if self._pictures.is_origins(request, name, picture):
            status = await self._hand_through(request, receive, send, progress, REFUSALS)
        if status in (0, *REFUSALS):
            asked = await self._pictures.request(request, name, picture)
            await self._frames.answer(asked, receive, send, progress)
        if status and progress.has_started:
            self._pictures.note(request, name, picture, status)

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
        caller = self._access.caller(name, request.pairs)
        headers = [pair for pair in request.pairs if pair[0] not in CREDENTIALS] + [*caller.credentials]
        served = request.path if len(self.origins) > 1 else None
        named = None if request.method in SAFE else named_by(name, path)
        if named is not None:
            change = Change(named, self.forget, sending)
            await self._change(change, origin, request.method, target, headers, receive, served)
            return 0
        status = await hand_through(origin, request.method, target, headers, receive, sending, unless, served)
        series = parse_series_metadata_path(path)
        if series is not None and status == 200 and request.method == "GET":
            self.plans.metadata_read(SeriesKey(name, caller.partition, *series), caller.credentials)
        return status

    async def _change(
        self,
        change: Change,
        origin: Origin,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        receive: Receive,
        served: str | None,
    ) -> None:
        """Hands through what changes the origin, and drops what is held under its name."""
        readable = [pair for pair in headers if pair[0] != "accept-encoding"]  # its answer is read
        try:
            await hand_through(origin, method, target, readable, receive, change.send, (), served)
        except OriginUnreachable:
            raise
        except BaseException as error:
            change.lose(has_sender_left=not isinstance(error, OriginError))
            raise

    def forget(self, named: Named) -> None:
        """Drops all that is held under a name, and lets nothing that is on its way come back under it."""
        self.fills.forget(named)
        self._lists.forget(named)
        self.plans.forget(named)


def _range_of(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"range"), None)


def create_app(settings: Settings, window_of: Callable[[], Window] = Window) -> App:
    """The service with these settings, not yet running."""
    return App(settings, window_of=window_of)


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
        app.readiness.end()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    grace = app.settings.listen.grace
    async with app.running():
        _log.info("serving", extra={"viewers": viewers.getsockname()[:2], "admin": admin.getsockname()[:2]})
        looking = asyncio.create_task(app.keep_looking(path)) if path else None
        ours = Listener(app.viewers, viewers, grace, app.rules)
        both = ours, Listener(app.admin, admin, grace, app.admin_rules)
        await serve(*both, stop, app.plans.tasks.close)  # whoever follows a plan hears of its end
        if looking is not None:
            looking.cancel()

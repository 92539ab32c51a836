"""The service: its parts, and its lifespan."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from proxy.access.caller import Access
from proxy.access.proofs import Proofs
from proxy.admin.app import create_admin
from proxy.admin.lock import lock_of
from proxy.admin.plans import PLAN_BYTES, create_plans_api
from proxy.admin.purge import create_purge_api
from proxy.admin.readiness import Readiness
from proxy.alternates.maker import IN_FLIGHT
from proxy.alternates.offered import Alternates
from proxy.alternates.renderer import RENDERED, Renderer
from proxy.alternates.transcoder import Transcoder
from proxy.cache.memory import MemoryStore
from proxy.codecs.workers import Workers
from proxy.fetch.fills import Fills
from proxy.fetch.gate import Gate
from proxy.fetch.permits import Permits
from proxy.fetch.proving import Proving
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import SeriesLists
from proxy.fetch.supplier import GatedSupplier, Suppliers
from proxy.frame.scope import FrameScope
from proxy.origin.client import Origin
from proxy.origin.credentials import aws, basic, basic_from_environment, bearer
from proxy.origin.forms import OriginReport
from proxy.origin.rotation import Rotating
from proxy.origin.transport import Tls, Transport, TransportLimits
from proxy.origin.window import Window
from proxy.plan.choice import CurrentChoice
from proxy.prefetch.plans import Plans
from proxy.service.memory import cache_bytes, memory_limit, warning
from proxy.service.rules import Rules
from proxy.service.tls import contexts
from proxy.settings.listening import ListenTls
from proxy.settings.model import Settings
from proxy.settings.reload import Reload
from proxy.settings.sections import OriginSettings
from proxy.telemetry.audit import Audit
from proxy.telemetry.telemetry import Telemetry
from proxy.viewers.app import ViewersApp
from proxy.viewers.audited import Audited
from proxy.viewers.cors import shared
from proxy.viewers.frames import Frames
from proxy.viewers.rendered import Pictures
from proxy.wire.via import Via

_log = logging.getLogger(__name__)

TransportOf = Callable[[OriginSettings], httpx.AsyncBaseTransport]


def rust_transport(origin: OriginSettings) -> Transport:
    """The transport that is used outside tests."""
    timeouts, tls = origin.timeouts, origin.tls
    limits = TransportLimits(timeouts.connect, timeouts.first_byte, timeouts.stall)
    return Transport(limits, Tls(tls.ca_file, tls.certificate_file, tls.key_file, tls.http2))


def own_credentials(origin: OriginSettings) -> httpx.Auth | None:
    """The proxy's own credentials for an origin; None if it has none. Raises `ConfigurationError`."""
    own = origin.credentials
    if own.bearer_file is not None:
        return bearer(own.bearer_file)
    if own.user is not None and own.password_file is not None:
        return basic(own.user, own.password_file)
    if own.user is not None and own.password_env is not None:
        return basic_from_environment(own.user, own.password_env)
    return aws(own.aws_region, own.aws_service) if own.aws_region is not None else None


def tls_of(tls: ListenTls, *, is_required: bool) -> Rotating[ssl.SSLContext] | None:
    """The certificates of a listener; None if it speaks plain HTTP. Raises `ConfigurationError`."""
    if tls.certificate_file is None or tls.key_file is None:
        return None
    return contexts(tls.certificate_file, tls.key_file, tls.client_ca_file, is_required=is_required)


class App:
    """One service: an application for viewers, and one for administrators."""

    def __init__(
        self,
        settings: Settings,
        transport_of: TransportOf = rust_transport,
        window_of: Callable[[], Window] = Window,
    ) -> None:
        self.telemetry = Telemetry()
        self.settings = settings
        self._via = Via()
        self._audit = Audit(settings.audit.file)
        self.tls = tls_of(settings.listen.tls, is_required=True)
        """Certificates of the viewers' listener; None if it speaks plain HTTP."""
        self.admin_tls = tls_of(settings.listen.tls, is_required=False)
        """The same for the admin listener."""
        cache = settings.cache
        limit = memory_limit()
        self.memory_warning = warning(settings, limit)
        """Why `cache.bytes` does not fit the container; None if it does."""
        store = MemoryStore(cache_bytes(settings, limit), cache.first_share, cache.ttl, self.telemetry)
        windows = {o.name: window_of() for o in settings.origins}
        self.origins = {o.name: self._origin(o, transport_of(o), windows[o.name]) for o in settings.origins}
        self.proofs = Proofs(settings.access.ttl)
        self.suppliers = {o.name: self._supplier(o, windows[o.name]) for o in settings.origins}
        suppliers = Suppliers(self.suppliers)
        self.fills = Fills(store, self.telemetry)
        probed = {o.name: self._probed(o.name) for o in settings.origins}
        self._permits = Permits(self.proofs, probed, store, self.fills, self.telemetry)
        access = Access(settings.access.policy, settings.forward, settings.access.counted_cookies)
        self.chosen = CurrentChoice(settings.choice())
        retrieve = Retrieve(suppliers, store, self.fills)
        self._lists = SeriesLists(self.origins)
        at_work = settings.workers
        self.workers = Workers(at_work.number, at_work.memory, at_work.seconds)
        self._register_makers(suppliers, retrieve)
        alternates = Alternates(settings.offered, self.chosen)
        permits = self._permits
        self.plans = Plans(retrieve, self._lists, self.chosen, alternates, permits, self.telemetry)
        frames = Frames(
            retrieve,
            self.chosen,
            self._lists,
            self.plans,
            alternates,
            permits,
            self.telemetry,
            pause=settings.listen.pause,
            log_uids=settings.log.uids,
        )
        default = settings.default_origin.name if settings.default_origin else None
        pictures = Pictures({o.name: o.rendered for o in settings.origins}, self._lists, permits)
        viewers = ViewersApp(
            self.origins,
            default,
            access,
            frames,
            pictures,
            alternates,
            self.plans,
            self.forget,
            self.telemetry,
            self._via.after(None).encode(),
        )
        lock = lock_of(settings.admin.token_file, is_open=settings.admin.open)
        locked = (
            create_plans_api(self.plans, access, lock, default, self._audit),
            create_purge_api(self.purge, self.origins, self._audit),
        )
        self.greeting: asyncio.Task[None] | None = None
        """Opens connections to the origins, while the service runs."""
        self.readiness = Readiness(settings.ready, tuple(self.origins.values()))
        self.admin = create_admin(self.telemetry, self.readiness, self._origins, locked, lock)
        cors = settings.cors
        is_on = self._audit.is_on
        self.viewers = shared(
            Audited(viewers, self._audit, access, default) if is_on else viewers,
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
            self.telemetry,
            origin.limits.frame_bytes,
            own_credentials(origin),
            forwards=origin.limits.forwarded,
            keeps_labels=origin.labels == "origin",
            window=window,
            is_trusted=origin.trust == "dicom",
            via=self._via,
        )

    @property
    def rules(self) -> Rules:
        """The rules that a request has to keep at both listeners."""
        listen = self.settings.listen
        return Rules(
            listen.url_bytes,
            listen.header_bytes,
            listen.header_seconds,
            listen.body_rate,
            admit=self.settings.admission(self._via).admit,
            count=lambda reason: self.telemetry.metrics.refused_requests.labels(reason).inc(),
        )

    @property
    def admin_rules(self) -> Rules:
        """The same at the admin's listener, which holds a whole body."""
        return replace(self.rules, body_bytes=PLAN_BYTES)

    def _supplier(self, origin: OriginSettings, window: Window) -> GatedSupplier:
        gate = Gate(origin.name, origin.limits.in_flight, self.telemetry, origin.limits.per_second, window)
        proving = Proving(self.origins[origin.name], self.proofs, self.telemetry)
        return GatedSupplier(proving, gate, origin.timeouts.stall)

    def _probed(self, name: str) -> GatedSupplier:
        """The origin as probes ask it, at the same gate as fetches."""
        proving = Proving(self.origins[name], self.proofs, self.telemetry, is_probe=True)
        return replace(self.suppliers[name], supplier=proving)

    def _register_makers(self, suppliers: Suppliers, retrieve: Retrieve) -> None:
        # Makers use no bandwidth of the origin and have their own queue, so this gate delays nothing.
        gates = {
            name: Gate(name, IN_FLIGHT, self.telemetry, window=Window(IN_FLIGHT << 20))
            for name in ("alternates", "rendered")
        }
        for offered in self.settings.offered:
            maker = Transcoder(offered.alternate, retrieve, self._lists, self.workers)
            suppliers.register(offered.path, GatedSupplier(maker, gates["alternates"]))
        renderer = Renderer(retrieve, self._lists, self.workers)
        suppliers.register(RENDERED, GatedSupplier(renderer, gates["rendered"]))

    def _origins(self) -> dict[str, OriginReport]:
        return {name: origin.report() for name, origin in self.origins.items()}

    async def keep_looking(self, path: Path) -> None:
        """Applies changes of the configuration file until it is cancelled."""
        await Reload(path, self.settings, self.chosen, self.telemetry).keep_looking()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The lifespan, within which fills can run. Raises `OSError` if the audit's file can't be opened."""
        async with self._audit, self._running():
            yield

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        for origin in self.settings.origins:
            if origin.trust == "dicom":
                _log.warning("frames are trusted not to change", extra={"origin": origin.name})
        if self.memory_warning is not None:
            _log.warning(self.memory_warning)
        self.greeting = asyncio.create_task(self.readiness.greet_all())
        try:
            async with self.workers, self._permits.tasks, self.fills.tasks, self.plans.tasks:
                yield
        finally:
            self.greeting.cancel()
            self._lists.close()
            for each in self.origins.values():
                await each.aclose()

    def forget(self, named: FrameScope) -> None:
        """Drops all that is held in a scope. Responses on their way are not stored either."""
        self.fills.forget(named)
        for origin in self.origins.values():
            origin.missing.forget(named)
        self._lists.forget(named)
        self.plans.forget(named)

    def purge(self, named: FrameScope) -> None:
        """Drops all that is held in a scope, and what the origin said about who may read its study."""
        self.forget(named)
        self.proofs.forget(named.origin, named.study, is_held=bool(named.series))


def create_app(settings: Settings, window_of: Callable[[], Window] = Window) -> App:
    """The service with these settings; it does not run yet."""
    return App(settings, window_of=window_of)

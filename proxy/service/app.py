"""The service: its parts, and its lifespan."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

from proxy.access.proofs import Proofs
from proxy.admin.readiness import Readiness
from proxy.alternates.offered import Alternates
from proxy.cache.tiers import TieredStore
from proxy.codecs.workers import Workers
from proxy.errors import NotForgotten
from proxy.fetch.farther import Farther
from proxy.fetch.fills import Fills
from proxy.fetch.metadata import Metadata
from proxy.fetch.permits import Permits
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import SeriesLists
from proxy.fetch.supplier import Suppliers
from proxy.frame.scope import FrameScope
from proxy.origin.forms import OriginReport
from proxy.origin.window import Window
from proxy.plan.choice import CurrentChoice
from proxy.service.access import access_of
from proxy.service.around import around, default_of
from proxy.service.bounds import Counted
from proxy.service.descriptors import admin_connections, files_allowed, most_connections
from proxy.service.exact import Exact
from proxy.service.expiry import watch
from proxy.service.jobs import WatchedJobs
from proxy.service.makers import register_makers
from proxy.service.memory import cache_bytes, memory_limit, warning
from proxy.service.operating import operating_of
from proxy.service.origins import TransportOf, fetched, origin_of, probed, rust_transports, traced
from proxy.service.planning import plans_of
from proxy.service.replicas import Replicas
from proxy.service.resources import resources_of
from proxy.service.rules import Rules
from proxy.service.ruling import admin_rules_of, rules_of
from proxy.service.telling import Telling
from proxy.service.tiers import TiersOf, store_of, tiers_of
from proxy.service.tls import tls_of
from proxy.service.traces import traces_of
from proxy.service.warming import warming_of
from proxy.service.warned import warn
from proxy.settings.model import Settings
from proxy.settings.reload import Reload
from proxy.telemetry.audit import Audit
from proxy.telemetry.telemetry import Telemetry
from proxy.viewers.app import ViewersApp
from proxy.viewers.forwarded_log import ForwardedLog
from proxy.viewers.frames import Frames
from proxy.viewers.negotiated import Negotiated
from proxy.viewers.rendered import Pictures
from proxy.viewers.studies import Studies
from proxy.wire.via import Via


class App:
    """One service: an application for viewers, and one for administrators."""

    def __init__(
        self,
        settings: Settings,
        transport_of: TransportOf | None = None,
        window_of: Callable[[], Window] = Window,
        tiers_of: TiersOf = tiers_of,
        via: Via | None = None,
        telemetry: Telemetry | None = None,
        path: Path | None = None,
        key: bytes | None = None,
    ) -> None:
        """`key` is that of the HMACs that stand for callers, unless a file has it; None to make one."""
        self.telemetry = telemetry or Telemetry(traces=traces_of(settings))
        self.settings = settings
        self._via = via or Via()
        self.tell = Telling()
        """Tells the other workers what was dropped and forgotten here."""
        self._audit = Audit(settings.audit.file)
        self.tls = tls_of(settings.listen.tls, is_required=True)
        """Certificates of the viewers' listener; None if it speaks plain HTTP."""
        self.admin_tls = tls_of(settings.listen.tls, is_required=False)
        """The same for the admin listener."""
        limit = memory_limit()
        self.memory_warning = warning(settings, limit)
        """Why `cache.bytes` does not fit the container; None if it does."""
        self.telemetry.metrics.memory_limit.set(limit or 0)
        watch(settings, self.telemetry.metrics)
        self.telemetry.metrics.cache_budget.set(budget := cache_bytes(settings, limit))
        store = self.store = store_of(settings, budget, tiers_of, self.telemetry)
        self.tiered = store if isinstance(store, TieredStore) else None
        """The cache with its tiers behind memory; None if there are none."""
        windows = {o.name: window_of() for o in settings.origins}
        self._closing = AsyncExitStack()
        more = self._via, self.telemetry, store.ledger, self._closing, settings.listen
        transport_of = transport_of or rust_transports()
        self.origins = {
            o.name: origin_of(o, traced(transport_of(o), o, settings, self.telemetry), windows[o.name], *more)
            for o in settings.origins
        }
        counted = Counted(self.telemetry.metrics, settings.bounds)
        most = most_connections(settings, files_allowed()), settings.bounds.connections_per_address
        self.connections = counted.connections("viewers", *most)
        """Connections of viewers."""
        self.admin_connections = counted.connections("admin", admin_connections(settings), cuts_readers=True)
        """The same at the admin listener."""
        self.proofs = Proofs(settings.access.ttl, ledger=store.ledger)
        proved = {o.name: (self.origins[o.name], self.proofs, self.telemetry) for o in settings.origins}
        self.suppliers = {o.name: fetched(o, windows[o.name], *proved[o.name]) for o in settings.origins}
        suppliers = Suppliers(self.suppliers)
        self.fills = Fills(store, self.telemetry)
        probes = {name: probed(each, *proved[name]) for name, each in self.suppliers.items()}
        self._permits = Permits(self.proofs, probes, store, self.fills, self.telemetry, settings.converted)
        self.access = access_of(settings, self._via, self._closing, key)
        self.chosen = CurrentChoice(settings.choice())
        retrieve = Retrieve(suppliers, store, self.fills)
        if self.tiered is not None:
            retrieve.farther = Farther(self.tiered, self.fills, self.proofs)
        self.resources = resources_of(settings, self.origins, store, self.telemetry)
        """Metadata and other resources of studies, beside their frames."""
        self.resources.on_gone = self._changed
        self._replicas = Replicas(self.tiered, self.fills, self.proofs, self.forget, self.resources.doubt)
        self._lists = SeriesLists(Metadata(self.origins, store.room, self.resources), store.ledger)
        at_work, jobs = settings.workers, WatchedJobs(self.telemetry)
        self.workers = Workers(at_work.number, at_work.memory, at_work.seconds, watch=jobs)
        register_makers(suppliers, retrieve, self._lists, self.workers, settings, self.telemetry)
        alternates = Alternates(settings.offered, self.chosen, store.ledger, settings.converted)
        permits, self.places = self._permits, counted.viewers()
        parts = self.origins, self.suppliers, self.resources, retrieve, self._lists, self.chosen
        places = counted.plans(), self.telemetry, store.ledger
        self.plans, self.study_plans = plans_of(*parts, alternates, permits, *places)
        self.warming = warming_of(settings, self.access, self.plans, self.study_plans, *places[1:])
        """Studies that are fetched before anybody asks."""
        frames = Frames(
            retrieve,
            self.chosen,
            self._lists,
            self.plans,
            alternates,
            permits,
            self.places,
            self.telemetry,
            store,
            pause=settings.listen.pause,
            log_uids=settings.log.uids,
        )
        pictures = Pictures(
            {o.name: o.rendered for o in settings.origins}, self._lists, permits, store.ledger
        )
        lines = ForwardedLog(settings.log.forwarded, self.telemetry.metrics, with_uids=settings.log.uids)
        known = ("origin",) if settings.cors.origins else ()
        studies = Studies(self.resources, self.places, frames.writes, lines, self.telemetry, known=known)
        viewers = ViewersApp(
            self.origins,
            default_of(settings),
            self.access,
            frames,
            Negotiated(frames, permits, store.ledger),
            pictures,
            studies,
            alternates,
            self.plans,
            self.study_plans,
            self._changed,
            self.places,
            self.telemetry,
            self._via.after(None).encode(),
            lines,
        )
        self.operators = counted.operators()
        self.greeting: asyncio.Task[None] | None = None
        """Opens connections to the origins, while the service runs."""
        self.readiness = Readiness(settings.ready, tuple(self.origins.values()))
        self._operating = operating_of(self, counted, self._audit, budget, path)
        self.admin, self.live = self._operating.admin, self._operating.live
        """The application of the admin listener, and the streams of its status."""
        self.repeats = frames.repeats
        """Responses that viewers may get again without the app."""
        self.repeats.are_kept = not self._audit.is_on
        self.viewers = around(viewers, settings, self.access, self._audit, self.telemetry)

    @property
    def protocol(self) -> Callable[..., asyncio.Protocol]:
        """The protocol of a viewer's connection."""
        return partial(Exact, self.repeats)

    @property
    def rules(self) -> Rules:
        """The rules that a request has to keep at both listeners."""
        return rules_of(self.settings, self._via, self.telemetry)

    @property
    def admin_rules(self) -> Rules:
        """The same at the admin's listener, which holds a whole body."""
        return admin_rules_of(self.settings, self._via, self.telemetry)

    def reports(self) -> dict[str, OriginReport]:
        """A report on each origin, by its name."""
        return {name: origin.report() for name, origin in self.origins.items()}

    async def keep_looking(self, path: Path) -> None:
        """Applies changes of the configuration file until it is cancelled."""
        in_force = self._operating.in_force
        await Reload(path, self.settings, self.chosen, self.telemetry, in_force).keep_looking()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The lifespan, within which fills can run. Raises `OSError` if the audit's file can't be opened."""
        async with self._audit, self._running():
            yield

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        warn(self.settings, self.memory_warning)
        self.greeting = asyncio.create_task(self.readiness.greet_all())
        try:
            behind, permits = self.tiered or nullcontext(), self._permits.tasks
            async with (
                behind,
                self._replicas,
                self.workers,
                permits,
                self.fills.tasks,
                self.resources.tasks,
                self.resources.compression.tasks,
                self.plans.tasks,
                self.warming.tasks,
                self._operating,
            ):
                self.warming.keep_time()
                yield
        finally:
            self.greeting.cancel()
            self._lists.close()
            for each in self.origins.values():
                await each.aclose()
            await self._closing.aclose()
            if self.telemetry.traces is not None:
                await asyncio.to_thread(self.telemetry.traces.close)

    def forget(self, named: FrameScope) -> None:
        """Drops all that is held in a scope. Responses on their way are not stored either."""
        self.fills.forget(named)
        for origin in self.origins.values():
            origin.missing.forget(named)
        self.resources.forget(named)
        self._lists.forget(named)
        self.plans.forget(named)
        self.study_plans.forget(named)

    def _changed(self, named: FrameScope) -> None:
        self.forget(named)
        self.tell.dropped(named, False)

    def close_streams(self) -> None:
        """Ends what would go on as long as somebody follows: plans, and the streams of the status."""
        self.plans.tasks.close()
        self.live.close()

    def relearn(self, origin: str) -> None:
        """Forgets which forms of request an origin understands. A newer worker may know other origins."""
        if origin in self.origins:
            self.origins[origin].forget_forms()

    def relearned(self, origin: str) -> None:
        """The same here and in the other workers."""
        self.tell.relearned(origin)
        self.relearn(origin)

    async def purged(self, named: FrameScope) -> None:
        """Purges a scope here, and tells the other workers. Raises `NotForgotten`."""
        self.tell.dropped(named, True)
        await self.purge(named)

    async def purge(self, named: FrameScope) -> None:
        """Drops all that is held in a scope, and what the origin said about who may read its study.

        Raises `NotForgotten` if a tier behind memory could not drop it.
        """
        self.forget(named)
        self.proofs.forget(named.origin, named.study, is_held=bool(named.series))
        if self.tiered is not None and not await self.tiered.forgotten(named):
            raise NotForgotten(
                "memory is clear; a tier behind it is not yet: repeat the purge, or delete its files"
            )


def create_app(
    settings: Settings,
    window_of: Callable[[], Window] = Window,
    tiers_of: TiersOf = tiers_of,
    via: Via | None = None,
    telemetry: Telemetry | None = None,
    path: Path | None = None,
    key: bytes | None = None,
) -> App:
    """The service with these settings; it does not run yet."""
    return App(settings, None, window_of, tiers_of, via, telemetry, path, key)

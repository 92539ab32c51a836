"""Builds the operators' side of a service: what they see of it, and what they may do."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from proxy.admin.app import create_admin
from proxy.admin.configuration import create_configuration_api
from proxy.admin.live import Live
from proxy.admin.lock import lock_of
from proxy.admin.operate import create_orders_api, create_status_api
from proxy.admin.plans import create_plans_api
from proxy.admin.purge import create_purge_api
from proxy.admin.readiness import Readiness
from proxy.admin.warm import create_warm_api
from proxy.service.around import default_of
from proxy.service.bounds import Counted
from proxy.service.looking import Looking
from proxy.settings.inforce import InForce
from proxy.telemetry.audit import Audit
from proxy.telemetry.history import History

if TYPE_CHECKING:
    from proxy.service.app import App


@dataclass(frozen=True)
class Operating:
    """The operators' side."""

    admin: ASGIApp
    """The application of the admin listener."""
    live: Live
    """The streams of the status."""
    history: History
    """The last hour."""
    in_force: InForce
    """The configuration."""
    readiness: Readiness
    """The origins that are down are asked again."""
    running: list[asyncio.Task[None]] = field(default_factory=list)
    """Tasks that go on as long as the service runs."""

    async def __aenter__(self) -> None:
        self.running.extend(map(asyncio.create_task, (self.readiness.keep_asking(), self.history.keep())))

    async def __aexit__(self, *_: object) -> None:
        for task in self.running:
            task.cancel()


def operating_of(app: "App", counted: Counted, audit: Audit, budget: int, path: Path | None) -> Operating:
    """Builds it for a service whose cache has `budget` bytes of memory. `path` is of its configuration."""
    settings, telemetry = app.settings, app.telemetry
    history = History(telemetry.metrics.deliveries)
    looking = Looking(
        telemetry.metrics,
        history,
        app.readiness,
        app.origins,
        {name: supplier.gate for name, supplier in app.suppliers.items()},
        {origin.name: origin.limits.in_flight for origin in settings.origins},
        app.plans,
        app.store.shares,
        app.workers,
        counted.made,
        tuple(tier.name for tier in app.tiered.tiers) if app.tiered else (),
        budget,
        settings.log.uids,
        time(),
    )
    in_force = InForce(settings, path)
    live = Live(looking, counted.streams())
    lock = lock_of(settings.admin.token_file, is_open=settings.admin.open)
    locked = (
        create_plans_api(app.plans, app.study_plans, app.access, lock, default_of(settings), audit),
        create_warm_api(app.warming, audit),
        create_purge_api(app.purged, app.origins, app.access, audit),
        create_status_api(looking.status, looking.hour, live),
        create_configuration_api(in_force),
        create_orders_api(app.plans, app.relearned, tuple(app.origins), app.access, audit),
    )
    admin = create_admin(telemetry, app.readiness, app.reports, locked, lock, app.operators)
    return Operating(admin, live, history, in_force, app.readiness)

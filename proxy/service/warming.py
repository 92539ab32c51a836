"""Builds from the settings what is warmed."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.access.caller import Access, Caller
from proxy.cache.kept import Ledger
from proxy.origin.credentials import token_in
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Budget
from proxy.prefetch.studies import StudyPlans
from proxy.prefetch.warm import Warm
from proxy.prefetch.warming import Warming
from proxy.settings.model import Settings
from proxy.settings.warming import WarmSettings
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.wanted import first_form


def warming_of(
    settings: Settings,
    access: Access,
    plans: Plans,
    studies: StudyPlans,
    telemetry: Telemetry,
    ledger: Ledger,
) -> Warming:
    """The searches whose studies are warmed. Reads files, which blocks. Raises `ConfigurationError`."""
    warms = [_warm(settings, said, access) for said in settings.warm]
    return Warming(
        warms, plans, studies, studies.ahead, ledger, _kept_for(settings), telemetry.metrics.warmed
    )


def _warm(settings: Settings, said: WarmSettings, access: Access) -> Warm:
    origin = said.origin or (settings.default_origin.name if settings.default_origin else "")
    return Warm(
        said.name,
        origin,
        tuple((name, str(value)) for name, value in said.search.items()),
        _caller(access, origin, said.token_file),
        said.profile,
        said.fetch,
        Budget(said.budget, said.requests),
        said.studies,
        said.priors.studies,
        said.priors.days,
        said.every,
        said.cron,
        first_form(said.accept),
    )


def _caller(access: Access, origin: str, token_file: Path | None) -> Callable[[], Awaitable[Caller]]:
    token = None if token_file is None else token_in(token_file)

    async def caller() -> Caller:
        if token is None:
            return access.own(origin)
        return access.own(origin, (("authorization", f"Bearer {await token.current()}"),))

    return caller


def _kept_for(settings: Settings) -> float:
    """Seconds for which some cache holds a frame."""
    cache = settings.cache
    disk = cache.disk.ttl if cache.disk.path is not None else 0.0
    shared = cache.shared.ttl if cache.shared.url is not None else 0.0
    objects = cache.objects.ttl if cache.objects.url is not None else 0.0
    return max(cache.ttl, disk, shared, objects)

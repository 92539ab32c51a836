"""The layers around the viewers' application: the audit, traces, and cross-origin access."""

from starlette.types import ASGIApp

from proxy.access.caller import Access
from proxy.settings.model import Settings
from proxy.telemetry.audit import Audit
from proxy.telemetry.telemetry import Telemetry
from proxy.viewers.audited import Audited
from proxy.viewers.cors import shared
from proxy.viewers.traced import Traced


def around(
    viewers: ASGIApp, settings: Settings, access: Access, audit: Audit, telemetry: Telemetry
) -> ASGIApp:
    """The application as viewers meet it."""
    names, default = [origin.name for origin in settings.origins], default_of(settings)
    if audit.is_on:
        viewers = Audited(viewers, audit, access, names, default)
    if telemetry.traces is not None:
        viewers = Traced(viewers, telemetry.traces, names, forms_of(settings))
    cors = settings.cors
    return shared(
        viewers,
        cors.origins,
        headers=cors.headers,
        credentials=cors.credentials,
        private_network=cors.private_network,
        max_age=cors.max_age,
    )


def default_of(settings: Settings) -> str | None:
    """Name of the origin of paths that begin with no origin's name; None if there is none."""
    return settings.default_origin.name if settings.default_origin else None


def forms_of(settings: Settings) -> frozenset[str]:
    """Path segments of alternates, which stand for `frames`."""
    return frozenset(offered.path.strip("/") for offered in settings.offered)

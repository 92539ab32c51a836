"""Builds from the settings the rules that requests have to keep."""

from dataclasses import replace

from proxy.service.rules import Rules
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.via import Via


def rules_of(settings: Settings, via: Via, telemetry: Telemetry) -> Rules:
    """The rules at both listeners."""
    listen = settings.listen
    return Rules(
        listen.url_bytes,
        listen.header_bytes,
        listen.header_seconds,
        listen.body_rate,
        listen.read_rate,
        listen.read_seconds,
        admit=settings.admission(via).admit,
        count=lambda reason: telemetry.metrics.refused_requests.labels(reason).inc(),
    )


def admin_rules_of(settings: Settings, via: Via, telemetry: Telemetry) -> Rules:
    """The same at the admin listener, which holds a whole body."""
    admin = settings.admin
    return replace(
        rules_of(settings, via, telemetry), body_bytes=admin.body_bytes, body_seconds=admin.body_seconds
    )

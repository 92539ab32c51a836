"""Builds the tiers behind memory from the settings."""

from collections.abc import Callable, Sequence

from proxy.cache.tier import Tier
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry

TiersOf = Callable[[Settings, Telemetry], Sequence[Tier]]


def tiers_of(_settings: Settings, _telemetry: Telemetry) -> Sequence[Tier]:
    """The tiers, from near to far."""
    return ()

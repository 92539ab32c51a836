"""Builds from the settings the places of requests and plans."""

from collections.abc import Callable

from proxy.access.bounds import Bound
from proxy.prefetch.places import PlanPlaces
from proxy.settings.bounds import BoundsSettings
from proxy.viewers.places import Places


def places_of(bounds: BoundsSettings, count: Callable[[str], None]) -> tuple[Places, PlanPlaces]:
    """The places of viewers' requests, and those of plans. `count` gets the setting that refused."""
    places = Places(
        Bound("waiting", bounds.waiting, bounds.waiting_per_caller, count),
        Bound("sending", bounds.sending, bounds.sending_per_caller, count),
        Bound("uploads", bounds.uploads, bounds.uploads_per_caller, count),
    )
    plans = PlanPlaces(
        Bound("plans", bounds.plans, bounds.plans_per_caller, count),
        Bound("planned_frames", bounds.planned_frames, bounds.planned_frames_per_caller, count),
    )
    return places, plans

"""Bounds and connections whose places the metrics show, with all that they refuse."""

from collections.abc import Callable
from functools import partial

from proxy.access.bounds import Bound
from proxy.prefetch.places import PlanPlaces
from proxy.service.connections import Connections
from proxy.settings.bounds import BoundsSettings
from proxy.telemetry.metrics import Metrics
from proxy.viewers.places import Places


class Counted:
    """Makes bounds and connections that are counted."""

    def __init__(self, metrics: Metrics, bounds: BoundsSettings) -> None:
        self._metrics = metrics
        self._bounds = bounds
        self.made: dict[str, Bound] = {}
        """The bounds of viewers' requests and of plans, by setting."""

    def _over(self, bound: str) -> None:
        self._metrics.over_bounds.labels(bound).inc()

    def _closed(self, reason: str) -> None:
        self._metrics.closed_connections.labels(reason).inc()

    def _bound(self, name: str) -> Bound:
        in_all = getattr(self._bounds, name)
        bound = Bound(name, in_all, getattr(self._bounds, f"{name}_per_caller", in_all), self._over)
        self._metrics.places_taken.labels(name).set_function(partial(getattr, bound, "taken"))
        return bound

    def _shown(self, name: str) -> Bound:
        return self.made.setdefault(name, self._bound(name))

    def viewers(self) -> Places:
        """The places of viewers' requests."""
        return Places(*map(self._shown, ("waiting", "sending", "uploads")))

    def plans(self) -> PlanPlaces:
        """The places of plans."""
        return PlanPlaces(*map(self._shown, ("plans", "planned_frames")))

    def operators(self) -> Bound:
        """The places of requests of operators."""
        return self._bound("operators")

    def streams(self) -> Bound:
        """The places of streams of the status."""
        return self._bound("streams")

    def connections(
        self, listener: str, most: int | None, per_address: int | None = None, *, cuts_readers: bool = False
    ) -> Connections:
        """The connections of a listener. See `Connections`."""
        counts: tuple[Callable[[str], None], Callable[[str], None]] = self._over, self._closed
        connections = Connections(most, per_address, *counts, cuts_readers=cuts_readers)
        self._metrics.connections.labels(listener).set_function(partial(getattr, connections, "open"))
        return connections

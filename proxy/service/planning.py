"""Builds what fetches before a viewer asks: plans of series, and plans of studies."""

from collections.abc import Mapping

from proxy.alternates.offered import Alternates
from proxy.cache.kept import Ledger
from proxy.fetch.ahead import Ahead
from proxy.fetch.permits import Permits
from proxy.fetch.resources import Resources
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import SeriesLists
from proxy.fetch.supplier import GatedSupplier
from proxy.origin.client import Origin
from proxy.plan.choice import CurrentChoice
from proxy.prefetch.places import PlanPlaces
from proxy.prefetch.plans import Plans
from proxy.prefetch.studies import StudyPlans
from proxy.telemetry.telemetry import Telemetry


def plans_of(
    origins: Mapping[str, Origin],
    suppliers: Mapping[str, GatedSupplier],
    resources: Resources,
    retrieve: Retrieve,
    lists: SeriesLists,
    chosen: CurrentChoice,
    alternates: Alternates,
    permits: Permits,
    places: PlanPlaces,
    telemetry: Telemetry,
    ledger: Ledger,
) -> tuple[Plans, StudyPlans]:
    """The plans of one service."""
    ahead = Ahead(origins, resources, {name: each.gate for name, each in suppliers.items()})
    plans = Plans(retrieve, ahead, lists, chosen, alternates, permits, places, telemetry, ledger)
    return plans, StudyPlans(plans, ahead, ledger)

"""Builds from the settings what keeps the resources of studies beside their frames."""

from collections.abc import Mapping
from functools import partial

from proxy.access.proofs import Proofs
from proxy.cache.holding import Holding, Terms
from proxy.cache.store import Store
from proxy.fetch.resources import Resources
from proxy.fetch.rights import Rights
from proxy.origin.client import Origin
from proxy.service.origins import CODINGS
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.dicomweb import Kind


def resources_of(
    settings: Settings, origins: Mapping[str, Origin], store: Store, telemetry: Telemetry
) -> Resources:
    """The resources; their bodies are counted in the store's budget, of which one takes a part only."""
    cache, most = settings.cache, store.ledger.most // 2
    sizes = min(cache.study_bytes, most), min(cache.instances, most)
    holding = Holding(Terms(cache.study_ttl, cache.study_stale, cache.search_ttl, *sizes), store.ledger)
    for kind in Kind:
        held = partial(holding.sizes.__getitem__, kind.value)
        telemetry.metrics.kept_bytes.labels(kind.value, "tables").set_function(held)
    rights = Rights(Proofs(settings.access.ttl, ledger=store.ledger))
    return Resources(origins, holding, rights, store.room, codings=CODINGS[settings.listen.compress])

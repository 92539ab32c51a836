"""Registers the makers of forms that an origin lacks as suppliers of frames."""

from proxy.alternates.converter import PLAIN_PATH, Converter
from proxy.alternates.maker import IN_FLIGHT
from proxy.alternates.renderer import RENDERED, Renderer
from proxy.alternates.transcoder import Transcoder
from proxy.codecs.workers import Workers
from proxy.fetch.gate import Gate
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import SeriesLists
from proxy.fetch.supplier import GatedSupplier, Suppliers
from proxy.origin.window import Window
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry


def register_makers(
    suppliers: Suppliers,
    retrieve: Retrieve,
    lists: SeriesLists,
    workers: Workers,
    settings: Settings,
    telemetry: Telemetry,
) -> None:
    """Registers a maker for each alternate of the settings, one for pictures, and one for HTJ2K."""
    # Makers use no bandwidth of the origin and have their own queue, so this gate delays nothing.
    gates = {
        name: Gate(name, IN_FLIGHT, telemetry, window=Window(IN_FLIGHT << 20))
        for name in ("alternates", "rendered")
    }
    parts = retrieve, lists, workers, settings.converted
    for offered in settings.offered:
        maker = Transcoder(offered.alternate, *parts)
        suppliers.register(offered.path, GatedSupplier(maker, gates["alternates"]))
    suppliers.register(RENDERED, GatedSupplier(Renderer(*parts), gates["rendered"]))
    suppliers.register(PLAIN_PATH, GatedSupplier(Converter(*parts), gates["alternates"]))

"""Builds from the settings the parts that speak to an origin."""

from collections.abc import Callable
from dataclasses import replace

import httpx

from proxy.access.proofs import Proofs
from proxy.cache.kept import Ledger
from proxy.fetch.gate import Gate
from proxy.fetch.proving import Proving
from proxy.fetch.supplier import GatedSupplier
from proxy.origin.bodies import LeastRate
from proxy.origin.client import Origin
from proxy.origin.credentials import aws, basic, basic_from_environment, bearer
from proxy.origin.transport import Tls, Transport, TransportLimits
from proxy.origin.window import Window
from proxy.settings.sections import OriginSettings
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.via import Via

TransportOf = Callable[[OriginSettings], httpx.AsyncBaseTransport]


def rust_transport(origin: OriginSettings) -> Transport:
    """The transport that is used outside tests."""
    timeouts, tls = origin.timeouts, origin.tls
    limits = TransportLimits(timeouts.connect, timeouts.first_byte, timeouts.stall)
    return Transport(limits, Tls(tls.ca_file, tls.certificate_file, tls.key_file, tls.http2))


def own_credentials(origin: OriginSettings) -> httpx.Auth | None:
    """The proxy's own credentials for an origin; None if it has none. Raises `ConfigurationError`."""
    own = origin.credentials
    if own.bearer_file is not None:
        return bearer(own.bearer_file)
    if own.user is not None and own.password_file is not None:
        return basic(own.user, own.password_file)
    if own.user is not None and own.password_env is not None:
        return basic_from_environment(own.user, own.password_env)
    return aws(own.aws_region, own.aws_service) if own.aws_region is not None else None


def origin_of(
    origin: OriginSettings,
    transport: httpx.AsyncBaseTransport,
    window: Window,
    via: Via,
    telemetry: Telemetry,
    ledger: Ledger,
) -> Origin:
    """The client of an origin. Raises `ConfigurationError`."""
    return Origin(
        origin.name,
        origin.url,
        transport,
        telemetry,
        origin.limits.frame_bytes,
        own_credentials(origin),
        forwards=origin.limits.forwarded,
        metadata_bytes=origin.limits.metadata_bytes,
        ledger=ledger,
        keeps_labels=origin.labels == "origin",
        window=window,
        least_rate=LeastRate(origin.timeouts.least_rate, origin.timeouts.stall),
        is_trusted=origin.trust == "dicom",
        via=via,
    )


def fetched(
    origin: OriginSettings, window: Window, client: Origin, proofs: Proofs, telemetry: Telemetry
) -> GatedSupplier:
    """An origin as fetches ask it."""
    gate = Gate(origin.name, origin.limits.in_flight, telemetry, origin.limits.per_second, window)
    return GatedSupplier(Proving(client, proofs, telemetry), gate, origin.timeouts.stall)


def probed(supplier: GatedSupplier, client: Origin, proofs: Proofs, telemetry: Telemetry) -> GatedSupplier:
    """The origin as probes ask it, at the same gate as fetches."""
    return replace(supplier, supplier=Proving(client, proofs, telemetry, is_probe=True))

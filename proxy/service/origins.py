"""Builds from the settings the parts that speak to an origin."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx

from proxy.access.proofs import Proofs
from proxy.cache.kept import Ledger
from proxy.fetch.gate import Gate
from proxy.fetch.proving import Proving
from proxy.fetch.supplier import GatedSupplier
from proxy.origin.authority import LIMITS, Authority
from proxy.origin.bodies import LeastRate
from proxy.origin.client import Origin
from proxy.origin.credentials import aws, basic, basic_from_environment, bearer, issued, password_in
from proxy.origin.issued import Client, IssuedTokens
from proxy.origin.loop_turns import LoopTurns
from proxy.origin.outbound import Outbound
from proxy.origin.response import A_TURN
from proxy.origin.traced import TracedTransport
from proxy.origin.transport import Tls, Transport, TransportLimits
from proxy.origin.window import Window
from proxy.service.around import forms_of
from proxy.settings.listening import Listen
from proxy.settings.model import Settings
from proxy.settings.sections import OriginSettings
from proxy.settings.via import ViaSettings
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.public import Publishing
from proxy.wire.via import Via

CODINGS: dict[str, tuple[str, ...]] = {"off": (), "gzip": ("gzip",), "zstd": ("zstd", "gzip")}
"""The content codings of each value of `listen.compress`, the best one first."""

TransportOf = Callable[[OriginSettings], httpx.AsyncBaseTransport]


def rust_transports() -> TransportOf:
    """Makes the transports that are used outside tests. Their bodies share the turns of the event loop."""
    turns = LoopTurns(A_TURN)

    def transport_of(origin: OriginSettings) -> Transport:
        timeouts = origin.timeouts
        limits = TransportLimits(timeouts.connect, timeouts.first_byte, timeouts.stall)
        return Transport(limits, tls_of(origin), outbound_of(origin.via), turns)

    return transport_of


def tls_of(origin: OriginSettings) -> Tls:
    """TLS to an origin."""
    tls = origin.tls
    return Tls(tls.ca_file, tls.certificate_file, tls.key_file, tls.http2)


def outbound_of(via: ViaSettings) -> Outbound | None:
    """The HTTP proxy on the way to a server; None if there is none."""
    return None if via.url is None else Outbound(via.url, via.user or "", via.password_file)


def traced(
    transport: httpx.AsyncBaseTransport, origin: OriginSettings, settings: Settings, telemetry: Telemetry
) -> httpx.AsyncBaseTransport:
    """The transport; with a span for each request, if traces are on."""
    if telemetry.traces is None:
        return transport
    return TracedTransport(transport, telemetry.traces, origin.url, forms_of(settings))


def own_credentials(origin: OriginSettings, via: Via, closing: AsyncExitStack) -> httpx.Auth | None:
    """The proxy's own credentials for an origin; None if it has none. Raises `ConfigurationError`.

    `closing` gets all that has to be closed at the end.
    """
    own = origin.credentials
    if own.oauth2.is_set:
        return issued(issued_tokens(origin, via, closing))
    if own.bearer_file is not None:
        return bearer(own.bearer_file)
    if own.user is not None and own.password_file is not None:
        return basic(own.user, own.password_file)
    if own.user is not None and own.password_env is not None:
        return basic_from_environment(own.user, own.password_env)
    return aws(own.aws_region, own.aws_service) if own.aws_region is not None else None


def issued_tokens(origin: OriginSettings, via: Via, closing: AsyncExitStack) -> IssuedTokens:
    """The tokens that a token server issues for an origin. Raises `ConfigurationError`."""
    said = origin.credentials.oauth2
    assert said.client_secret_file is not None
    client = Client(said.token_url or "", said.client_id or "", said.scope or "")
    server = Authority("the token server", Transport(LIMITS, Tls(said.ca_file), outbound_of(said.via)), via)
    closing.push_async_callback(server.aclose)
    tokens = IssuedTokens(origin.name, client, password_in(said.client_secret_file), server)
    closing.push_async_callback(tokens.aclose)
    return tokens


def origin_of(
    origin: OriginSettings,
    transport: httpx.AsyncBaseTransport,
    window: Window,
    via: Via,
    telemetry: Telemetry,
    ledger: Ledger,
    closing: AsyncExitStack,
    listen: Listen | None = None,
) -> Origin:
    """The client of an origin. `closing` gets what it needs besides. Raises `ConfigurationError`.

    `listen` tells how viewers reach the proxy.
    """
    listen = listen or Listen()
    return Origin(
        origin.name,
        origin.url,
        transport,
        telemetry,
        origin.limits.frame_bytes,
        own_credentials(origin, via, closing),
        forwards=origin.limits.forwarded,
        metadata_bytes=origin.limits.metadata_bytes,
        ledger=ledger,
        keeps_labels=origin.labels == "origin",
        window=window,
        least_rate=LeastRate(origin.timeouts.least_rate, origin.timeouts.stall),
        is_trusted=origin.trust == "dicom",
        via=via,
        publishing=Publishing(
            origin.url,
            listen.public_url,
            origin.forwarded,
            origin.rewrite,
            names_htj2k=origin.is_converted,
            codings=CODINGS[listen.compress],
        ),
        is_htj2k_only=origin.is_converted,
    )


def fetched(
    origin: OriginSettings, window: Window, client: Origin, proofs: Proofs, telemetry: Telemetry
) -> GatedSupplier:
    """An origin as fetches ask it."""
    gate = Gate(origin.name, origin.limits.in_flight, telemetry, origin.limits.per_second, window)
    return GatedSupplier(Proving(client, proofs, telemetry), gate, origin.timeouts.stall, telemetry.traces)


def probed(supplier: GatedSupplier, client: Origin, proofs: Proofs, telemetry: Telemetry) -> GatedSupplier:
    """The origin as probes ask it, at the same gate as fetches."""
    return replace(supplier, supplier=Proving(client, proofs, telemetry, is_probe=True))

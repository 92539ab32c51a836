"""Spans by OpenTelemetry, exported by OTLP over HTTP. The only door to the library, which is an extra.

A thread of its own sends the spans, from a queue that drops them when it is full. So a collector that is slow
or dead delays nobody; the log says so once, and once more when it takes spans again.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from socket import gethostname
from time import monotonic, time_ns

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as LibrarySpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes
from requests import Session
from requests.utils import get_environ_proxies

from proxy.telemetry.traces import Facts, Headers, Kind

WITHIN = 5.0
"""Seconds for which the exporter tries to send one batch of spans."""
LAST = 2.0
"""Seconds that spans get at the end of the service."""
LONGEST = 2048
"""Characters of an attribute; the rest is cut off, since a path may be long."""

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_CONTEXT = TraceContextTextMapPropagator()
_log = logging.getLogger(__name__)


class Joined(Sampler):
    """Records traces that a caller began and records, at most so many per second.

    Anybody can send a `traceparent`, so callers may not decide how much is exported.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = self._recorded = 0

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Counts one more trace, and records it if the second has room for it."""
        del trace_id, name, kind, links, trace_state
        second = int(self._clock())
        if second != self._second:
            self._second, self._recorded = second, 0
        self._recorded += 1
        decision = Decision.RECORD_AND_SAMPLE if self._recorded <= self._per_second else Decision.DROP
        state = get_current_span(parent_context).get_span_context().trace_state
        return SamplingResult(decision, attributes, state)

    def get_description(self) -> str:
        """The name of the sampler."""
        return f"Joined{{{self._per_second}}}"


class OneSpan:
    """A span of the library."""

    def __init__(self, span: LibrarySpan) -> None:
        self._span = span

    @property
    def headers(self) -> Headers:
        """The trace context of what happens within the span."""
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, set_span_in_context(self._span, Context()))
        return tuple(carrier.items())

    def note(self, facts: Facts) -> None:
        """Adds attributes."""
        self._span.set_attributes(facts)

    def event(self, name: str) -> None:
        """Something happens now."""
        self._span.add_event(name)

    def end(self, error: str = "") -> None:
        """Ends the span."""
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Spans:
    """The spans of one process."""

    def __init__(
        self, processor: SpanProcessor, share: float = 1.0, joined: int = 10, *, with_uids: bool = False
    ) -> None:
        """`share` of the traces that begin here are recorded, and `joined` per second of those of callers."""
        self.with_uids = with_uids
        release = version("progressive-proxy")
        named = {
            "service.name": "progressive-proxy",
            "service.version": release,
            "service.instance.id": f"{gethostname()}/{os.getpid()}",
        }
        sampler = ParentBased(
            TraceIdRatioBased(share),
            remote_parent_sampled=Joined(joined) if joined else TraceIdRatioBased(0.0),
            local_parent_sampled=ALWAYS_ON,
        )
        self._provider = TracerProvider(
            sampler,
            Resource.create(named),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=LONGEST),
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("progressive-proxy", release)

    def span(
        self,
        kind: Kind,
        name: str,
        within: Iterable[tuple[str, str]],
        facts: Facts,
        *,
        seconds: float = 0.0,
        is_remote: bool = False,
    ) -> OneSpan:
        """Begins a span. See `Traces.span`."""
        parent = _parent_in(within, is_remote=is_remote)
        start = time_ns() - int(seconds * 1e9)
        return OneSpan(
            self._tracer.start_span(name, parent, _KINDS[kind], attributes=facts, start_time=start)
        )

    def close(self) -> None:
        """Exports what is left, for at most `LAST` seconds."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST)


def _parent_in(headers: Iterable[tuple[str, str]], *, is_remote: bool) -> Context:
    found = _CONTEXT.extract(dict(headers), Context())
    said = get_current_span(found).get_span_context()
    if is_remote or not said.is_valid:
        return found
    ours = SpanContext(said.trace_id, said.span_id, is_remote=False, trace_flags=said.trace_flags,
                       trace_state=said.trace_state)  # fmt: skip
    return set_span_in_context(NonRecordingSpan(ours), Context())


class Exporter(SpanExporter):
    """Sends spans to a collector, and tells the log when it can't, and when it can again."""

    def __init__(
        self,
        endpoint: str,
        headers: Callable[[], Mapping[str, str]],
        ca_file: str | None = None,
        way: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`headers` returns the headers of each request, and `way` the URL of the HTTP proxy on the way.

        Both may block, and raise `OSError`, `ValueError`. The way may be `environment`, or None.
        """
        self._endpoint = endpoint
        self._headers = headers
        self._way = way
        self._session = Session()
        self._session.trust_env = False  # no .netrc, and no HTTP proxy that is not configured
        self._inner = OTLPSpanExporter(
            endpoint,
            certificate_file=ca_file,
            headers={},
            timeout=WITHIN,
            compression=Compression.Gzip,
            session=self._session,
        )
        self._is_well = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends them, in the processor's thread."""
        try:
            self._session.headers.update(self._headers())
            self._session.proxies = self._proxies()
            result = self._inner.export(spans)
        except (OSError, ValueError):  # the file of the headers, or of the password
            result = SpanExportResult.FAILURE
        is_well = result is SpanExportResult.SUCCESS
        if is_well != self._is_well:
            self._is_well = is_well
            _log.warning("traces are exported again" if is_well else "traces can't be exported")
        return result

    def _proxies(self) -> dict[str, str]:
        way = self._way()
        if way == "environment":
            return get_environ_proxies(self._endpoint)
        return {} if way is None else {"http": way, "https": way}

    def shutdown(self) -> None:
        """Ends what is under way."""
        self._inner.shutdown()  # type: ignore[no-untyped-call]  # it has no types


def exported(
    endpoint: str,
    headers: Callable[[], Mapping[str, str]],
    ca_file: str | None,
    way: Callable[[], str | None],
    share: float,
    joined: int,
    *,
    with_uids: bool,
) -> Spans:
    """Spans that go to a collector. Starts a thread."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would write a line for each try
    processor = BatchSpanProcessor(Exporter(endpoint, headers, ca_file, way))
    return Spans(processor, share, joined, with_uids=with_uids)

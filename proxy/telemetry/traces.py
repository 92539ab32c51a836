"""Spans of distributed traces, as the program makes them. It knows no library (`proxy.telemetry.spans`).

A span's context travels as the headers of W3C Trace Context, `traceparent` and `tracestate`, in the values
that carry the headers of a request anyway. So a fetch that outlives its viewer still has its parent, and
without traces nothing is carried and nothing is called.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

Headers = tuple[tuple[str, str], ...]
Facts = Mapping[str, str | int | float | list[str]]
Kind = Literal["server", "client", "internal"]

CONTEXT = ("traceparent", "tracestate")
"""The headers of a trace context."""


class Span(Protocol):
    """One step of a trace, from its beginning to its end."""

    @property
    def headers(self) -> Headers:
        """The trace context of what happens within the span."""

    def note(self, facts: Facts) -> None:
        """Adds attributes."""

    def event(self, name: str) -> None:
        """Something happens now."""

    def end(self, error: str = "") -> None:
        """The step ends now; it failed if there is an `error`, a status or the name of an exception."""


class Traces(Protocol):
    """Makes the spans of one process."""

    with_uids: bool
    """True if attributes may hold UIDs."""

    def span(
        self,
        kind: Kind,
        name: str,
        within: Iterable[tuple[str, str]],
        facts: Facts,
        *,
        seconds: float = 0.0,
        is_remote: bool = False,
    ) -> Span:
        """Begins a span, which began so many `seconds` ago.

        `within` are headers, of which the trace context names the parent; without one a trace begins. If the
        parent `is_remote`, somebody else chose to record the trace, and no more than a number of those are
        recorded per second.
        """

    def close(self) -> None:
        """Exports what is left, for a short time. It blocks."""


def context_in(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers that are a trace context.

    >>> context_in([("accept", "*/*"), ("tracestate", "a=1")])
    (('tracestate', 'a=1'),)
    """
    return tuple(pair for pair in headers if pair[0] in CONTEXT)


def exemplar_of(headers: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """The labels of an exemplar, if the trace is recorded.

    >>> exemplar_of([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
    {'trace_id': '0af7651916cd43dd8448eb211c80319c', 'span_id': 'b7ad6b7169203331'}
    >>> exemplar_of([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")])
    """
    for name, value in headers:
        if name == "traceparent":
            _, trace, span, flags = value.split("-")
            return {"trace_id": trace, "span_id": span} if int(flags, 16) & 1 else None
    return None

"""Selects the headers of a request that the proxy's fetches carry on.

`traceparent` and `tracestate` name the trace that the request belongs to (W3C Trace Context 1). With traces
they are those of the proxy's own span, otherwise the viewer's. `via` and `cdn-loop` name the proxies that it
passed (RFC 9110 7.6.3, RFC 8586), which reveals a loop.
"""

import re
from collections.abc import Iterable

from proxy.wire.via import CARRIED

_CARRIED = ("traceparent", "tracestate", *CARRIED)
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_STATE = re.compile(r"[\x20-\x7e]{1,512}", re.ASCII)


def trace_of(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Returns the headers that name proxies, and a valid `traceparent` with its `tracestate`.

    >>> trace_of([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
    (('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),)
    >>> trace_of([("traceparent", "whatever a viewer likes to see in a log")])
    ()
    """
    found = [(name, value) for name, value in headers if name in _CARRIED]
    if not found:
        return ()
    via = tuple(pair for pair in found if pair[0] in CARRIED)
    parents = [value for name, value in found if name == "traceparent"]
    if len(parents) != 1 or not _PARENT.fullmatch(parents[0]):
        return via
    state = ",".join(value for name, value in found if name == "tracestate")
    kept = (("tracestate", state),) if _STATE.fullmatch(state) else ()
    return ("traceparent", parents[0]), *kept, *via

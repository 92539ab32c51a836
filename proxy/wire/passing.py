"""The headers of requests and responses that pass through the proxy. Pure."""

import re
from collections.abc import Collection, Iterable

_ONE_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "range", "retrieve-profile"),
        *("cache-control", "pragma", "content-length", "content-type", "expect", "host"),
        *("authorization", "cookie", "via", "cdn-loop", "traceparent", "tracestate", "baggage"),
        *("user-agent", "referer", "dnt", "priority", "save-data", "upgrade-insecure-requests"),
        *("x-forwarded-for", "x-real-ip", "x-request-id", "x-correlation-id", "x-requested-with"),
        *("x-amzn-trace-id", "x-cloud-trace-context", "x-envoy-external-address", "forwarded-for"),
    }
)
"""Headers that change no representation, or that the proxy knows and sends in its own way."""
_FAMILIES_WITHOUT_EFFECT = ("sec-", "if-", "x-b3-", "cf-")
_CODING = re.compile(r"(?:^|,)\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?=,|$)")
_ALSO = {"gzip": "x-gzip", "compress": "x-compress"}
"""Names that mean the same coding (RFC 9110 8.4.1)."""


def end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers without hop-by-hop ones (RFC 9110 7.6.1); names in lower case.

    >>> end_to_end([("accept", "*/*"), ("connection", "close, x-hop"), ("x-hop", "1")])
    [('accept', '*/*')]
    """
    pairs = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower() for name, value in pairs if name == "connection" for token in value.split(",")
    }
    return [(name, value) for name, value in pairs if name not in _ONE_CONNECTION | named]


def deciding(headers: Iterable[tuple[str, str]], known: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """The headers of a request that may change the response, as far as the proxy can tell, sorted.

    Headers in `known` change nothing. Credentials and `Accept` are not among them, since they are known
    apart.

    >>> deciding([("user-agent", "x"), ("x-site-id", "7"), ("x-forwarded-host", "viewer.example")])
    (('x-forwarded-host', 'viewer.example'), ('x-site-id', '7'))
    """
    return tuple(
        sorted(
            (name, value)
            for name, value in end_to_end(headers)
            if name not in _WITHOUT_EFFECT
            and name not in known
            and not name.startswith(_FAMILIES_WITHOUT_EFFECT)
        )
    )


def accepts_coding(accept_encoding: str | None, codings: str) -> bool:
    """True if a response may have these content codings, in lower case (RFC 9110 12.5.3).

    >>> [accepts_coding(said, "gzip") for said in ("br, gzip;q=0.5", "x-gzip", "*", "gzip;q=0, *", "br")]
    [True, True, True, False, False]
    >>> accepts_coding("gzip, deflate", "deflate, gzip"), accepts_coding("gzip", "deflate, gzip")
    (True, False)
    >>> accepts_coding(None, "gzip")
    False
    """
    found = {name.lower(): weight for name, weight in _CODING.findall(accept_encoding or "")}
    for coding in map(str.strip, codings.split(",")):
        weight = found.get(coding, found.get(_ALSO.get(coding, ""), found.get("*")))
        if weight is None or (weight and not weight.strip("0.")):
            return False
    return True

"""Maps errors to responses: the table of statuses, and RFC 9457 problem details.

The response to a request with a Range has an empty body and a multipart type, and its message is in a header.
Cornerstone3D takes any body of a ranged request for pixels.
"""

import json
from math import ceil

from proxy import errors
from proxy.wire.ranges import parse_range

STATUSES: dict[type[errors.ProxyError], int] = {
    errors.BadResource: 400,
    errors.UnknownName: 404,
    errors.UnknownFrame: 404,
    errors.BadRequest: 400,
    errors.BadMethod: 405,
    errors.ExpectationFailed: 417,
    errors.TooLarge: 431,
    errors.BodyTooLong: 413,
    errors.UrlTooLong: 414,
    errors.TooSlow: 408,
    errors.WrongHost: 421,
    errors.CrossSite: 403,
    errors.CallerRefused: 401,  # unless the authorizer's own status is passed on
    errors.TooMany: 429,
    errors.AdminLocked: 401,
    errors.AdminOff: 404,
    errors.Loop: 508,
    errors.NotAcceptable: 406,
    errors.RangeNotSatisfiable: 416,
    errors.PreconditionFailed: 412,
    errors.OriginRefused: 502,  # unless the origin's own status is passed on
    errors.OriginBusy: 503,  # likewise
    errors.OriginFull: 503,
    errors.OriginUnreachable: 502,
    errors.OriginFailed: 502,
    errors.OtherForm: 502,
    errors.NoToken: 502,
    errors.OriginHungUp: 502,
    errors.OriginMismatch: 502,
    errors.OriginChanged: 502,
    errors.OriginTimeout: 504,
    errors.AuthorityFailed: 502,
    errors.AuthorityTimeout: 504,
    errors.OriginStalled: 504,
    errors.ServiceFull: 503,
    errors.NotForgotten: 503,
    errors.ShuttingDown: 503,
    errors.PlanCancelled: 503,
    errors.ConfigurationError: 500,
    errors.NotUnderstood: 500,
    errors.CodestreamError: 502,
    errors.WorkerLost: 502,
    errors.NotMade: 404,
    errors.MeasureError: 500,
    errors.InternalFault: 500,
}
"""The status for each leaf of the error tree."""

_SOON_OVER = (
    errors.ShuttingDown,
    errors.NotForgotten,
    errors.OriginFull,
    errors.NoToken,
    errors.ServiceFull,
    errors.TooMany,
    errors.AuthorityFailed,
    errors.AuthorityTimeout,
)
"""Errors after which the same request may succeed a second later."""


def status_of(error: errors.ProxyError) -> int:
    """Returns the status that a viewer gets for an error."""
    if isinstance(error, errors.OriginRefused | errors.OriginBusy | errors.CallerRefused):
        return error.status
    return STATUSES[type(error)]


def details_of(error: errors.ProxyError) -> dict[str, object]:
    """Returns an error as problem details (RFC 9457 3.1)."""
    return {"status": status_of(error), "title": type(error).__name__, "detail": str(error)}


def headers_of(error: errors.ProxyError) -> list[tuple[bytes, bytes]]:
    """Returns the headers that an error adds to its response, apart from its message."""
    headers = [(b"cache-control", b"no-store")]
    if isinstance(error, errors.OriginRefused | errors.CallerRefused):
        if error.challenge:
            headers.append((b"www-authenticate", error.challenge.encode("latin-1")))
        if error.location:
            headers.append((b"location", error.location.encode("ascii")))
    if isinstance(error, errors.OriginBusy) and error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
    if isinstance(error, errors.AdminLocked):
        headers.append((b"www-authenticate", b'Bearer realm="progressive-proxy admin"'))
    if isinstance(error, errors.BadMethod):
        headers.append((b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
    if isinstance(error, _SOON_OVER):
        headers.append((b"retry-after", b"1"))
    return headers


def answer_to(
    error: errors.ProxyError, wanted_range: str | None = None
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Returns status, headers and body of the response for a request that ended in an error.

    If the request has a Range, the body is empty, because viewers take any body for pixels. If that range
    starts after byte 0, the response carries a Content-Range. It has no meaning here (RFC 9110 14.4), but
    without it Cornerstone3D takes the part that it holds for the whole frame.
    """
    status = status_of(error)
    title = type(error).__name__
    headers = headers_of(error)
    if wanted_range is not None:
        body = b""
        wanted = parse_range(wanted_range)
        if wanted is not None and wanted.first:
            beyond = max(wanted.first, wanted.last or 0) + 1
            headers.append((b"content-range", b"bytes */%d" % beyond))
        words = " ".join(f"{title}: {error}".split()).encode("ascii", "replace")
        headers += [(b"content-type", b"multipart/related"), (b"problem", words)]
    else:
        body = json.dumps(details_of(error)).encode()
        headers.append((b"content-type", b"application/problem+json"))
    headers.append((b"content-length", b"%d" % len(body)))
    return status, headers, body

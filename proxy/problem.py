"""Errors as answers: the table of statuses, and RFC 9457 problem details.

To a request with a Range the body stays empty and its type a multipart one, with the words in a
header: Cornerstone3D takes whatever body a ranged request gets for pixels.
"""

import json
from math import ceil

from starlette.types import Send

from proxy import errors
from proxy.wire.ranges import parse_range

STATUSES: dict[type[errors.ProxyError], int] = {
    errors.BadResource: 400,
    errors.UnknownName: 404,
    errors.UnknownFrame: 404,
    errors.BadRequest: 400,
    errors.BadMethod: 405,
    errors.TooLarge: 431,
    errors.BodyTooLong: 413,
    errors.UrlTooLong: 414,
    errors.TooSlow: 408,
    errors.WrongHost: 421,
    errors.CrossSite: 403,
    errors.Loop: 508,
    errors.NotAcceptable: 406,
    errors.RangeNotSatisfiable: 416,
    errors.OriginRefused: 502,  # the origin's own status goes before this
    errors.OriginBusy: 503,  # and before this
    errors.OriginUnreachable: 502,
    errors.OriginFailed: 502,
    errors.OriginHungUp: 502,
    errors.OriginMismatch: 502,
    errors.OriginChanged: 502,
    errors.OriginTimeout: 504,
    errors.ShuttingDown: 503,
    errors.PlanCancelled: 503,
    errors.ConfigurationError: 500,
    errors.CodestreamError: 502,
    errors.WorkerLost: 502,
    errors.NotMade: 404,
    errors.MeasureError: 500,
    errors.InternalFault: 500,
}
"""The status of each leaf of the tree of errors."""


def status_of(error: errors.ProxyError) -> int:
    """The status that a viewer gets for an error."""
    if isinstance(error, errors.OriginRefused | errors.OriginBusy):
        return error.status
    return STATUSES[type(error)]


def details_of(error: errors.ProxyError) -> dict[str, object]:
    """An error as problem details (RFC 9457 3.1)."""
    return {"status": status_of(error), "title": type(error).__name__, "detail": str(error)}


def headers_of(error: errors.ProxyError) -> list[tuple[bytes, bytes]]:
    """What an error says in headers, beside its words."""
    headers = [(b"cache-control", b"no-store")]
    if isinstance(error, errors.OriginRefused) and error.challenge:
        headers.append((b"www-authenticate", error.challenge.encode("latin-1")))
    if isinstance(error, errors.OriginRefused) and error.location:
        headers.append((b"location", error.location.encode("ascii")))
    if isinstance(error, errors.OriginBusy) and error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after)))
    if isinstance(error, errors.BadMethod):
        headers.append((b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
    if isinstance(error, errors.ShuttingDown):
        headers.append((b"retry-after", b"1"))
    return headers


async def send_problem(send: Send, error: errors.ProxyError, wanted_range: str | None = None) -> None:
    """Answers with an error, before anything else was said."""
    status, headers, body = answer_to(error, wanted_range)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def answer_to(
    error: errors.ProxyError, wanted_range: str | None = None
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the answer to a request that ended in an error.

    To a range it has no body, since viewers take any for pixels; and to a later one a Content-Range, which
    means nothing here (RFC 9110 14.4), but without it Cornerstone3D takes the part that it has for all.
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

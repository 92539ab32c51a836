"""Maps faults of the Rust client beneath `transport` to httpx's exceptions; pure.

pyreqwest calls it a connect error, too, when a connection ends after a request was written, and a
connect timeout when headers are late: only the causes tell where it was. Messages name no path: an URL
holds UIDs.
"""

import re

import httpx
from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    NetworkError,
    PoolTimeoutError,
    PyreqwestError,
    ReadTimeoutError,
)

_KINDS: tuple[tuple[type[PyreqwestError], type[httpx.TransportError]], ...] = (
    (PoolTimeoutError, httpx.PoolTimeout),
    (ReadTimeoutError, httpx.ReadTimeout),
    (ConnectTimeoutError, httpx.ConnectTimeout),
    (ConnectError, httpx.ConnectError),
    (DecodeError, httpx.RemoteProtocolError),
)
_CONNECTING = "client error (Connect)"
_SENDING = "client error (SendRequest)"
_CERTIFICATE = re.compile(r"invalid peer certificate: ([^:;]+)")
_ALERT = re.compile(r"received fatal alert: (\w+)")


class CertificateRefused(httpx.ConnectError):
    """Its certificate can't be trusted, or ours was not: nothing was sent, or nothing is answered."""


def was_cut(error: PyreqwestError) -> bool:
    """True if a connection that stood ended after a request went out on it, and before its answer."""
    return isinstance(error, NetworkError) and _SENDING in _causes(error)


def mapped(error: PyreqwestError, request: httpx.Request) -> httpx.TransportError:
    """The same error as httpx would have it."""
    for cause in _causes(error):
        if match := _CERTIFICATE.search(cause):
            return CertificateRefused(f"its certificate was refused: {match[1]}", request=request)
        if match := _ALERT.search(cause):
            return CertificateRefused(f"it refused the TLS connection: {match[1]}", request=request)
    if was_cut(error):
        return httpx.RemoteProtocolError("hung up before it answered", request=request)
    if isinstance(error, ConnectTimeoutError) and _CONNECTING not in _causes(error):
        return httpx.ReadTimeout("no headers in time", request=request)
    for theirs, ours in _KINDS:
        if isinstance(error, theirs):
            return ours(error.message, request=request)
    return httpx.ReadError(error.message, request=request)


def _causes(error: PyreqwestError) -> list[str]:
    details = getattr(error, "details", None) or {}
    return [cause["message"] for cause in details.get("causes") or ()]

"""Errors of pyreqwest, mapped to those of httpx; pure.

pyreqwest also raises a connect error if a connection ends after a request was written, and a connect timeout
if the headers are late. Only the causes of the error tell these apart. Messages contain no path, because a
URL holds UIDs.
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
_TUNNEL = re.compile(r"^tunnel error: (.*)")
_TUNNELS = {
    "proxy authorization required": "the HTTP proxy on the way to it wants a login, or another one",
    "failed to create underlying connection": "no connection to the HTTP proxy on the way to it",
}
"""Sentences for causes that pyreqwest names."""
_NO_TUNNEL = "the HTTP proxy on the way to it refuses to connect"
_ALERT = re.compile(r"received fatal alert: (\w+)")


class CertificateRefused(httpx.ConnectError):
    """The server's certificate was refused, so no request was sent, or the server refused the proxy's."""


def was_cut(error: PyreqwestError) -> bool:
    """True if an open connection ended after a request went out on it and before the response."""
    return isinstance(error, NetworkError) and _SENDING in _causes(error)


def mapped(error: PyreqwestError) -> httpx.TransportError:
    """The error of httpx for an error of pyreqwest."""
    for cause in _causes(error):
        if match := _CERTIFICATE.search(cause):
            return CertificateRefused(f"its certificate was refused: {match[1]}")
        if match := _ALERT.search(cause):
            return CertificateRefused(f"it refused the TLS connection: {match[1]}")
        if match := _TUNNEL.search(cause):
            return httpx.ProxyError(_TUNNELS.get(match[1], _NO_TUNNEL))
    if was_cut(error):
        return httpx.RemoteProtocolError("hung up before it answered")
    if isinstance(error, ConnectTimeoutError) and _CONNECTING not in _causes(error):
        return httpx.ReadTimeout("no headers in time")
    for theirs, ours in _KINDS:
        if isinstance(error, theirs):
            return ours(error.message)
    return httpx.ReadError(error.message)


def _causes(error: PyreqwestError) -> list[str]:
    details = getattr(error, "details", None) or {}
    return [cause["message"] for cause in details.get("causes") or ()]

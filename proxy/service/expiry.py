"""The ends of the proxy's own certificates and tokens, read from their files each time that metrics are read.

So a metric tells when a file that nobody renewed ends, also if the proxy still holds a good one from before.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from functools import partial
from math import nan
from pathlib import Path

from proxy.settings.model import Settings
from proxy.telemetry.metrics import Metrics


def certificate_end(path: Path) -> float:
    """Unix time after which the first certificate of a PEM file is not valid. NaN if the file has none."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return nan


def token_end(path: Path) -> float:
    """Unix time at which a token ends. NaN if the token does not say (RFC 7519 4.1.4)."""
    try:
        claims = path.read_bytes().split(b".")[1]
        return float(json.loads(urlsafe_b64decode(claims + b"==="))["exp"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return nan


def watch(settings: Settings, metrics: Metrics) -> None:
    """Lets metrics tell when each certificate and token of the settings ends."""
    for origin, kind, end, path in _named(settings):
        metrics.expires.labels(origin, kind).set_function(partial(end, path))


def _named(settings: Settings) -> Iterator[tuple[str, str, Callable[[Path], float], Path]]:
    if settings.listen.tls.certificate_file is not None:
        yield "", "listener", certificate_end, settings.listen.tls.certificate_file
    for origin in settings.origins:
        if origin.tls.certificate_file is not None:
            yield origin.name, "certificate", certificate_end, origin.tls.certificate_file
        if origin.credentials.bearer_file is not None:
            yield origin.name, "token", token_end, origin.credentials.bearer_file

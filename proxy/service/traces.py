"""Builds the maker of spans, if the settings name a collector. Its library is loaded only then."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.origin.outbound import url_of
from proxy.service.origins import outbound_of
from proxy.settings.model import Settings
from proxy.settings.tracing import TracesSettings
from proxy.telemetry.traces import Traces

_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*")


def traces_of(settings: Settings) -> Traces | None:
    """The maker of spans; None if traces are off. Reads files, which blocks. Raises `ConfigurationError`."""
    said = settings.traces
    if said.endpoint is None:
        return None
    exported, headers, ca_file, way = library(), headers_of(said), ca_file_of(said), way_of(said)
    share, joined = said.share, said.joined
    return exported(said.endpoint, headers, ca_file, way, share, joined, with_uids=settings.log.uids)


def library() -> Callable[..., Traces]:
    """The function that makes exported spans. Raises `ConfigurationError` if its library is missing."""
    try:
        from proxy.telemetry.spans import exported
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "traces: needs a library: pip install 'progressive-proxy[traces]'"
        ) from error
    return exported


def headers_of(said: TracesSettings) -> Callable[[], Mapping[str, str]]:
    """Reads the collector's headers, each time anew. Raises `ConfigurationError` if that fails now."""
    headers = partial(_headers_in, said.headers_file)
    try:
        headers()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"traces.headers_file: {said.headers_file}: {why}") from error
    return headers


def way_of(said: TracesSettings) -> Callable[[], str | None]:
    """Reads the URL of the HTTP proxy on the way, each time anew; None goes straight.

    Raises `ConfigurationError` if that fails now.
    """
    outbound = outbound_of(said.via)

    def way() -> str | None:
        try:
            return None if outbound is None else url_of(outbound)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    try:
        way()
    except ValueError as error:
        raise ConfigurationError(f"traces.via: {error}") from error
    return way


def ca_file_of(said: TracesSettings) -> str | None:
    """The file with the collector's authorities. Raises `ConfigurationError` if there is no such file."""
    if said.ca_file is not None and not said.ca_file.is_file():
        raise ConfigurationError(f"traces.ca_file: {said.ca_file}: can't be read")
    return None if said.ca_file is None else str(said.ca_file)


def _headers_in(path: Path | None) -> Mapping[str, str]:
    """The headers in a file. Raises `OSError`, or `ValueError`, whose text names no header's value."""
    if path is None:
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            header = _HEADER.fullmatch(line.strip())
            if header is None:
                raise ValueError(f"line {number} is no header, such as Authorization: Bearer TOKEN")
            found[header[1]] = header[2]
    return found

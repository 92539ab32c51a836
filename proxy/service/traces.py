"""Builds what makes spans, if the settings name a collector. Its library is loaded only then."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.settings.model import Settings
from proxy.telemetry.traces import Traces

_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*")


def traces_of(settings: Settings) -> Traces | None:
    """The maker of spans; None if traces are off. Reads a file, which blocks. Raises `ConfigurationError`."""
    said = settings.traces
    if said.endpoint is None:
        return None
    try:
        from proxy.telemetry.spans import exported
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "traces: needs a library: pip install 'progressive-proxy[traces]'"
        ) from error
    if said.ca_file is not None and not said.ca_file.is_file():
        raise ConfigurationError(f"traces.ca_file: {said.ca_file}: can't be read")
    headers = partial(_headers_in, said.headers_file)
    try:
        headers()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"traces.headers_file: {said.headers_file}: {why}") from error
    ca_file = None if said.ca_file is None else str(said.ca_file)
    return exported(said.endpoint, headers, ca_file, said.share, said.joined, with_uids=settings.log.uids)


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

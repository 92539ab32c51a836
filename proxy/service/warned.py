"""Warns at the start of what a configuration risks."""

import logging

from proxy.service.open_to_all import open_to_all
from proxy.settings.model import Settings

_log = logging.getLogger("proxy.service.app")  # by which operators know these lines


def warn(settings: Settings, memory: str | None) -> None:
    """Writes the warnings to the log. `memory` is one about the cache's size; None if it fits."""
    for origin in settings.origins:
        if origin.trust == "dicom":
            _log.warning("frames are trusted not to change", extra={"origin": origin.name})
    for words in (memory, open_to_all(settings)):
        if words is not None:
            _log.warning(words)

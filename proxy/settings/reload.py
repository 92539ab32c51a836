"""Applies a changed configuration while the proxy runs, if the change is about profiles.

An invalid file changes nothing. The last valid configuration stays in use, and log and metric report the
fault until the file is valid again. Other changes (listeners, origins, cache, access, log) need a restart;
the log names them.
"""

import asyncio
import logging
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.plan.choice import CurrentChoice, ProfileChoice
from proxy.settings.inforce import AT_ONCE, InForce
from proxy.settings.model import Settings, load
from proxy.settings.reading import text_of
from proxy.telemetry.telemetry import Telemetry

LOOK_EVERY = 2.0
"""Seconds between checks of the file. A ConfigMap changes by a link, which file watchers do not notice."""

_log = logging.getLogger(__name__)


class Reload:
    """Watches one configuration file."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        chosen: CurrentChoice,
        telemetry: Telemetry,
        in_force: InForce | None = None,
    ) -> None:
        """`in_force` is told of the changes that are applied."""
        self._path = path
        self._settings = settings
        self._in_force = in_force
        self._chosen = chosen
        self._metrics = telemetry.metrics
        self._seen: bytes | None = None
        telemetry.metrics.configuration_is_good.set(1)

    async def keep_looking(self) -> None:
        """Checks the file until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> bool:
        """Applies a change; returns True if there was one."""
        content = await asyncio.to_thread(self._content)
        if self._seen in (None, content):
            self._seen = content
            return False
        self._seen = content
        try:
            settings, choice, text = await asyncio.to_thread(self._read)
        except ConfigurationError as error:
            self._metrics.configuration_is_good.set(0)
            self._metrics.reloads.labels("bad").inc()
            _log.error(
                "the changed configuration is invalid; the last valid one stays in use",
                extra={"faults": str(error)},
            )
            return False
        self._take(settings, choice, text)
        return True

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError:
            return b""

    def _read(self) -> tuple[Settings, ProfileChoice, str]:
        settings = load(self._path)
        return settings, settings.choice(), text_of(self._path)

    def _take(self, settings: Settings, choice: ProfileChoice, text: str) -> None:
        before, self._settings = self._settings, settings
        names = {origin.name for origin in before.origins}
        keys = (key for key in Settings.model_fields if key not in AT_ONCE)
        later = [key for key in keys if getattr(before, key) != getattr(settings, key)]
        if names == {origin.name for origin in settings.origins}:
            self._chosen.now = choice
            if self._in_force is not None:
                self._in_force.take(settings, text)
        self._metrics.configuration_is_good.set(1)
        self._metrics.reloads.labels("good").inc()
        _log.info("configuration reloaded", extra={"needs_restart": later})

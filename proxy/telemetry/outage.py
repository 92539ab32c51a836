"""Says in the log that something is down: once, then each minute, and when it is back."""

import logging
from collections.abc import Callable
from time import monotonic

AGAIN = 60.0
"""Seconds between two lines."""

_log = logging.getLogger(__name__)


class Outage:
    """The outages of one origin."""

    def __init__(self, origin: str, clock: Callable[[], float] = monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self._since: float | None = None
        self._said = 0.0
        self.why = ""
        """The reason that was noticed last; empty if the origin is not down."""

    @property
    def is_on(self) -> bool:
        """True if the origin is down."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Seconds for which the origin has been down; 0 if it is not."""
        return 0.0 if self._since is None else self._clock() - self._since

    def down(self, why: str) -> None:
        """The origin is down. Call it as often as that is noticed."""
        now, self.why = self._clock(), why
        if self._since is None:
            self._since = self._said = now
            _log.error("origin is down", extra={"origin": self._origin, "why": why})
        elif now - self._said >= AGAIN:
            self._said = now
            told = {"origin": self._origin, "why": why, "seconds": round(now - self._since)}
            _log.error("origin is still down", extra=told)

    def back(self) -> None:
        """The origin answered."""
        if self._since is None:
            return
        lasted = round(self._clock() - self._since)
        self._since, self.why = None, ""
        _log.warning("origin is back", extra={"origin": self._origin, "seconds": lasted})

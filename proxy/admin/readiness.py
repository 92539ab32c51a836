"""Whether the service should get requests, and the greeting that reaches each origin once.

The service is ready once it listens and is configured: a held frame and an origin that works need no other
origin. The setting `ready` can make it wait for any origin, or for each. An origin that has answered once
stays reached; whether it answers now is the health of the origin (`proxy.origin.health`).
"""

import asyncio
import logging
from collections.abc import Iterator

from proxy.errors import ProxyError
from proxy.origin.client import Origin
from proxy.settings.sections import Ready

GREET_AGAIN = 1.0
"""Seconds between the first two tries to reach an origin; each later pause is twice as long."""
LONGEST_PAUSE = 10.0
"""Seconds between two tries at most."""

_log = logging.getLogger(__name__)


class Readiness:
    """Of one service."""

    def __init__(self, ready: Ready, origins: tuple[Origin, ...]) -> None:
        self._ready = ready
        self._origins = origins
        self._why: dict[str, str] = {}
        self._is_ending = False

    def end(self) -> None:
        """Not ready from now on."""
        self._is_ending = True

    @property
    def unreached(self) -> tuple[str, ...]:
        """The origins that have not answered since the start."""
        return tuple(origin.name for origin in self._origins if not origin.health.was_reached)

    def not_ready_because(self) -> str:
        """Why this service should get no requests; empty when it should."""
        if self._is_ending:
            return "ending"
        most = {"started": len(self._origins), "any-origin": len(self._origins) - 1, "each-origin": 0}
        unreached = self.unreached
        return f"not reached yet: {', '.join(unreached)}" if len(unreached) > most[self._ready] else ""

    def lines(self) -> Iterator[str]:
        """A line for each check and one for the result, as Kubernetes' own `/readyz?verbose` writes them."""
        yield "[-]ending" if self._is_ending else "[+]started ok"
        for origin in self._origins:
            if origin.health.was_reached:
                yield f"[+]origin {origin.name} reached"
            else:
                why = self._why.get(origin.name, "no answer so far")
                yield f"[-]origin {origin.name} not reached yet: {why}"
        failed = self.not_ready_because()
        yield f"readyz check failed: {failed}" if failed else f"readyz check passed (ready: {self._ready})"

    async def greet_all(self) -> None:
        """Greets every origin until each has answered."""
        await asyncio.gather(*map(self._greet, self._origins))

    async def _greet(self, origin: Origin) -> None:
        """Reaches an origin once, which also leaves a connection open for the first viewer."""
        pause = GREET_AGAIN
        while not origin.health.was_reached:
            try:
                await origin.greet()
            except ProxyError as error:
                self._why[origin.name] = str(error)
                _log.warning("origin not reached", extra={"origin": origin.name, "why": str(error)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

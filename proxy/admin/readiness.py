"""Readiness of the service, and the first request to each origin.

By default the service is ready once it is configured and listens. Cached frames and working origins do not
depend on the other origins. With the setting `ready` it can wait for any origin, or for each. An origin
counts as reached once it has answered. Its current health is a separate matter (`proxy.origin.health`).
"""

import asyncio
from collections.abc import Iterator

from proxy.errors import ProxyError
from proxy.origin.client import Origin
from proxy.settings.sections import Ready

GREET_AGAIN = 1.0
"""Seconds before the first retry to reach an origin. Each later pause is twice as long."""
LONGEST_PAUSE = 10.0
"""Most seconds between two tries."""


class Readiness:
    """The readiness of one service."""

    def __init__(self, ready: Ready, origins: tuple[Origin, ...]) -> None:
        self._ready = ready
        self._origins = origins
        self._why: dict[str, str] = {}
        self._is_ending = False
        self.pause = LONGEST_PAUSE
        """Seconds between two questions to an origin that is down."""

    def end(self) -> None:
        """Makes the service not ready, because it shuts down."""
        self._is_ending = True

    @property
    def unreached(self) -> tuple[str, ...]:
        """Names of the origins that have not answered since the proxy started."""
        return tuple(origin.name for origin in self._origins if not origin.health.was_reached)

    def unreached_because(self, origin: Origin) -> str:
        """Why an origin has not answered since the proxy started. Empty if it has."""
        return "" if origin.health.was_reached else self._why.get(origin.name, "no response so far")

    def not_ready_because(self) -> str:
        """Why the service should get no requests. Empty if it is ready."""
        if self._is_ending:
            return "ending"
        most = {"started": len(self._origins), "any-origin": len(self._origins) - 1, "each-origin": 0}
        unreached = self.unreached
        return f"not reached yet: {', '.join(unreached)}" if len(unreached) > most[self._ready] else ""

    def lines(self) -> Iterator[str]:
        """One line per check and one for the result, in the format of Kubernetes' own `/readyz?verbose`."""
        yield "[-]ending" if self._is_ending else "[+]started ok"
        for origin in self._origins:
            if why := self.unreached_because(origin):
                yield f"[-]origin {origin.name} not reached yet: {why}"
            else:
                yield f"[+]origin {origin.name} reached"
        failed = self.not_ready_because()
        yield f"readyz check failed: {failed}" if failed else f"readyz check passed (ready: {self._ready})"

    async def greet_all(self) -> None:
        """Sends each origin a request, with retries, until all of them have answered."""
        await asyncio.gather(*map(self._greet, self._origins))

    async def keep_asking(self) -> None:
        """Asks origins that went down again, so that the log tells of them while no viewer asks.

        It ends only if it is cancelled.
        """
        while True:
            await asyncio.sleep(self.pause)
            down = [o for o in self._origins if o.health.was_reached and o.health.outage.is_on]
            await asyncio.gather(*map(self._ask, down))

    async def _ask(self, origin: Origin) -> None:
        try:
            await origin.plain.greet()
        except ProxyError as error:
            origin.health.outage.down(str(error))

    async def _greet(self, origin: Origin) -> None:
        """Reaches one origin. This also leaves a connection open for the first viewer."""
        pause = GREET_AGAIN
        while not origin.health.was_reached:
            try:
                await origin.plain.greet()
            except ProxyError as error:
                self._why[origin.name] = str(error)
                origin.health.outage.down(str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

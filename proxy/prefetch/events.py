"""The events of one run: the last ones are kept, and any number of listeners follow them. And its times."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

KEPT_EVENTS = 1000
"""Most events kept of one run. A client that connects late gets only the last ones."""

Event = tuple[int, str, dict[str, Any]]
"""Number (from 1), name and fields."""


@dataclass(slots=True)
class StageTimes:
    """Times of one stage, in seconds from the start of the run."""

    first_done: float | None = None
    """When the first image of the stage was done. None until then."""
    last_done: float | None = None
    """When the last image of the stage was done or skipped. None until then."""


class Events:
    """The events of a run, oldest first."""

    def __init__(self) -> None:
        self.told = 0
        """Number of events so far."""
        self._kept: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._happened = asyncio.Event()

    def record(self, name: str, fields: dict[str, Any]) -> None:
        """One more event."""
        self.told += 1
        self._kept.append((self.told, name, fields))
        happened, self._happened = self._happened, asyncio.Event()
        happened.set()

    async def next(self) -> None:
        """Waits for the next event."""
        await self._happened.wait()

    async def follow(self) -> AsyncIterator[Event]:
        """Yields all events, from the oldest one kept until the run ends."""
        told = 0
        while True:
            news = [event for event in self._kept if event[0] > told]
            for event in news:
                yield event
                if event[1] == "end":
                    return
                told = event[0]
            if not news:
                await self.next()

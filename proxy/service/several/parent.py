"""The parent: it starts the workers, restarts one that died, and replaces them one by one at SIGHUP.

A worker that ends while it starts for the first time ends the service, as a fault at the start of a single
process does. Later ones are tried again, each time after a longer pause.
"""

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import count as counted
from pathlib import Path
from typing import Any

from proxy.errors import ConfigurationError, ProxyError
from proxy.service.memory import cache_bytes, memory_limit, warning
from proxy.service.several.channel import Channel, Ended, Message, Posting, pair
from proxy.service.several.forking import Forked, ForkServer
from proxy.service.several.orders import Orders
from proxy.service.several.owners import Owners
from proxy.service.several.share import part_of
from proxy.settings.inforce import InForce
from proxy.settings.model import Settings, load
from proxy.telemetry.merging import Totals
from proxy.telemetry.metrics import Metrics
from proxy.wire.via import Via

PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that died is started again; twice as many after each one that died soon."""
SOON = 60.0
"""Seconds that a worker has to live, so that the next pause is a short one."""
MARGIN = 10.0
"""Seconds beyond `listen.grace` after which a worker that should have ended is killed."""
MOST_ORDERS = 10_000
"""Orders that may wait for a worker that does not read them."""
PARENT = "parent"
"""The key of the parent's own counters."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Child:
    """A worker as its parent sees it."""

    key: str
    """A name that no other process had before."""
    number: int
    """Its place among the workers, from 0."""
    process: Forked
    control: Channel
    posting: Posting
    """Its orders."""
    since: float
    """When it started."""
    ready: asyncio.Future[None] = field(default_factory=asyncio.Future)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once its channel has closed, as at its end."""
    is_expected_to_end: bool = False


class Parent:
    """The workers of one service."""

    def __init__(self, settings: Settings, count: int, viewers: socket.socket, path: Path | None) -> None:
        """It forks, so no thread and no event loop may run yet."""
        self.settings = settings
        self.count = count
        self.owners = Owners()
        """The workers that are live."""
        self.totals = Totals()
        self.metrics = Metrics()
        """The parent's own counters."""
        self.via = Via()
        self.in_force = InForce(settings, path, has_workers=True)
        """The configuration of all workers together."""
        self.running: set[Child] = set()
        """All processes, also those that leave."""
        self._current: dict[int, Child] = {}
        self._viewers = viewers
        self._path = path
        self._key = secrets.token_bytes(32)  # of callers' names in all workers; never written
        self._keys = counted()
        inboxes = [pair() for _ in range(count)]
        self._into = [into for into, _ in inboxes]
        self._inboxes = [inbox for _, inbox in inboxes]
        self._pauses: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._rolling = asyncio.Lock()
        self._limit = memory_limit()
        self.forks = ForkServer()
        """The process that starts workers."""

    def current(self, number: int) -> Child | None:
        """The worker with a number, if it is live."""
        child = self._current.get(number)
        return child if child is not None and number in self.owners.live else None

    @property
    def is_ending(self) -> bool:
        """True once all workers are to end."""
        return self._is_ending

    def exposition(self, *, is_open: bool = False) -> tuple[bytes, str]:
        """The metrics of all workers, and those that the parent counts; as OpenMetrics if it `is_open`."""
        self.totals.take(PARENT, self.metrics.exposition()[0], is_only_counted=True)
        return self.totals.exposition(is_open=is_open)

    async def start(self) -> None:
        """Starts all workers. Raises `ConfigurationError` if one of them ends before it serves."""
        if words := warning(self.settings, self._limit):
            _log.warning(words)
        async with self._rolling:
            children = [await self._begin(number) for number in range(self.count)]
            for child in children:
                await child.ready
                self._current[child.number] = child
            self._set_live(range(self.count))

    async def _begin(self, number: int) -> Child:
        """Starts one process."""
        near, far = pair()
        inboxes = {other: into.fileno() for other, into in enumerate(self._into)}
        inbox, viewers = self._inboxes[number].fileno(), self._viewers.fileno()
        whole = cache_bytes(self.settings, self._limit)
        part = part_of(self.settings, number, self.count, whole)
        shared = self.via.name, self._key, self._path, viewers
        orders = Orders(part, number, *shared, far.fileno(), inboxes, inbox)
        process = await self.forks.fork(orders, far.fileno())
        far.close()
        loop = asyncio.get_running_loop()
        child = Child(f"{number}/{next(self._keys)}", number, process, near, Posting(near), loop.time())
        self.running.add(child)
        loop.add_reader(near.fileno(), self._hear, child)
        self._in_background(self._watch(child))
        return child

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, child: Child) -> None:
        try:
            while (message := child.control.receive()) is not None:
                self._take(child, message)
        except Ended:
            asyncio.get_running_loop().remove_reader(child.control.fileno())
            child.gone.set()

    def _take(self, child: Child, message: Message) -> None:
        said = message.said
        if "ready" in said and not child.ready.done():
            child.ready.set_result(None)
        elif "drop" in said or "relearn" in said:
            for other in self.running - {child}:
                self._post(other, said)
        elif "metrics" in said:
            self.totals.take(child.key, message.content, is_first=child.number == 0)

    def _post(self, child: Child, said: dict[str, Any]) -> None:
        """Gives an order. A worker that obeys none is killed, or it would show what others have dropped."""
        child.posting.post(said)
        if len(child.posting) > MOST_ORDERS:
            _log.error("a worker obeys no orders, and is killed", extra={"worker": child.number})
            child.posting.close()
            child.process.signal(signal.SIGKILL)

    async def _watch(self, child: Child) -> None:
        """Waits for the end of a process, and starts another one if it died."""
        await child.gone.wait()
        child.posting.close()
        child.control.close()
        self.running.discard(child)
        self.totals.end(child.key)
        if not child.ready.done():
            child.ready.set_exception(ConfigurationError("a worker ended before it was ready"))
            child.ready.exception()  # nobody may wait for it
        is_current = self._current.get(child.number) is child
        if is_current:
            del self._current[child.number]
            self._set_live([number for number in self.owners.live if number != child.number])
        await child.process.wait()
        if is_current and not (self._is_ending or child.is_expected_to_end):
            self.metrics.lost_workers.inc()
            _log.error("a worker died", extra={"worker": child.number, "status": child.process.returncode})
            self._in_background(self._begin_again(child))

    def _set_live(self, numbers: Iterable[int]) -> None:
        self.owners.live = sorted(numbers)
        for child in self.running:
            self._post(child, {"live": self.owners.live})
        loop = asyncio.get_running_loop()
        for number, inbox in enumerate(self._inboxes):
            if number in self.owners.live:
                loop.remove_reader(inbox.fileno())
            else:
                loop.add_reader(inbox.fileno(), self._pass_on, inbox)

    def _pass_on(self, inbox: Channel) -> None:
        """Gives to a live worker what was handed to one that is not live any more."""
        if not self.owners.live or self._is_ending:
            asyncio.get_running_loop().remove_reader(inbox.fileno())  # the next worker finds it
            return
        message = inbox.receive()
        if message is None or message.passed is None:
            return
        with message.passed as passed:
            for number in self.owners.live:
                if self._into[number].send(message.said, message.content, passed.fileno()):
                    return

    async def _begin_again(self, lost: Child) -> None:
        number, lived = lost.number, asyncio.get_running_loop().time() - lost.since
        if lived >= SOON:
            self._pauses.pop(number, None)
        while not self._is_ending:
            pause = self._pauses.get(number, PAUSE)
            self._pauses[number] = min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)
            if await self._replace(number):
                return

    async def _replace(self, number: int) -> bool:
        """Starts a worker; once it is ready, it takes the place of the one that has its number."""
        async with self._rolling:
            if self._is_ending:
                return False
            try:
                child = await self._begin(number)
                await child.ready
            except (ProxyError, OSError) as error:
                _log.error("a worker does not start", extra={"worker": number, "why": str(error)})
                return False
            before, self._current[number] = self._current.get(number), child
            self._set_live({*self.owners.live, number})
        if before in self.running:
            before.is_expected_to_end = True
            self._post(before, {"leave": True})
            await self._until_gone(before)
        return True

    async def _until_gone(self, child: Child) -> None:
        try:
            async with asyncio.timeout(self.settings.listen.grace + MARGIN):
                await child.gone.wait()
        except TimeoutError:
            _log.error("a worker does not end, and is killed", extra={"worker": child.number})
            child.process.signal(signal.SIGKILL)
            await child.gone.wait()

    def roll(self) -> None:
        """Replaces all workers one by one, by ones with the configuration as it is now."""
        self._in_background(self._roll())

    async def _roll(self) -> None:
        if self._path is not None:
            try:
                settings = await asyncio.to_thread(load, self._path)
            except ConfigurationError as error:
                _log.error("the configuration is invalid; nothing changes", extra={"faults": str(error)})
                return
            fixed = {"listen": self.settings.listen, "admin": self.settings.admin}
            self.settings = settings.model_copy(update=fixed)
            await asyncio.to_thread(self.in_force.replace, self.settings)
        _log.info("replacing the workers one by one")
        for number in range(self.count):
            if not await self._replace(number):
                _log.error("the other workers stay as they are")
                return

    async def end(self) -> None:
        """Ends all workers, and returns when they are gone."""
        self._is_ending = True
        ending = list(self.running)
        for child in ending:
            child.process.signal(signal.SIGTERM)
        await asyncio.gather(*map(self._until_gone, ending))
        for task in [*self._tasks]:
            task.cancel()
        self.forks.close()

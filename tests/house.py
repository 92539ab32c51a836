"""A whole service on real sockets, in the test's own loop: an origin, the proxy, a viewer."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from proxy.origin.transport import Transport, TransportLimits
from proxy.origin.window import Window
from proxy.service.app import App, create_app
from proxy.service.listeners import Listener, open_socket, serve
from proxy.settings.model import Settings
from tests.scripted_origin import SERIES, ScriptedOrigin, running

STORY = 240
"""Seconds after which a story that hangs fails; no story takes that long on a busy machine."""
PATIENCE = TransportLimits(first_byte=STORY, stall=STORY)
"""A viewer's."""


class SlowLine(Window):
    """A line that never gets faster: what a story is about must not hang on how fast the machine is."""

    @property
    def in_one_round_trip(self) -> int:
        return 0

    def _resize(self) -> None:
        pass


class Door:
    """Counts the requests that are inside."""

    def __init__(self, app: App) -> None:
        self.inside = 0
        self._app = app.viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.inside -= 1


@dataclass
class House:
    """What a story works with."""

    app: App
    origin: ScriptedOrigin
    viewer: httpx.AsyncClient
    admin: httpx.AsyncClient
    stop: asyncio.Event
    door: "Door"

    async def until_inside(self, count: int) -> None:
        """Until so many requests of viewers are being answered."""
        while self.door.inside != count:
            await asyncio.sleep(0)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric now; 0 where it was never counted."""
        return self.app.metrics.registry.get_sample_value(f"progressive_proxy_{name}", labels) or 0.0

    async def until_idle(self) -> None:
        """Until no fill is under way."""
        while len(self.app.fills):
            await asyncio.sleep(0)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Until something is so."""
        while not is_so():
            await asyncio.sleep(0.001)  # looking may be dear, and the transport's threads want their turn

    async def ask_plan(
        self,
        profile: str | None = None,
        series: str = SERIES,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Asks for the plan of a series."""
        _, _, study, _, uid = series.split("/")
        wanted = {"study": study, "series": uid, "profile": profile, **more}
        return await self.admin.post("/plans", json=wanted, headers=headers)

    async def begin_plan(self, profile: str, series: str = SERIES, **more: Any) -> str:
        """The `Location` of a plan that has begun."""
        answer = await self.ask_plan(profile, series, **more)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    async def events(self, plan: str) -> list[tuple[str, dict[str, Any]]]:
        """All events of a plan, once it has ended."""
        answer = await self.admin.get(f"{plan}/events")
        assert answer.status_code == 200
        return list(events_in(answer.text))


def events_in(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and fields of Server-Sent Events."""
    for event in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if fields:
            yield fields["event"], json.loads(fields["data"])


@asynccontextmanager
async def house(origin: ScriptedOrigin, /, *, wait: bool = True, **settings: Any) -> AsyncIterator[House]:
    """Origin and proxy running, with a viewer at the door."""
    async with asyncio.timeout(STORY), running(origin), _proxy(origin, settings, wait=wait) as built:
        yield built


@asynccontextmanager
async def _proxy(origin: ScriptedOrigin, settings: dict[str, Any], *, wait: bool) -> AsyncIterator[House]:
    window_of = settings.pop("window_of", SlowLine)
    first: dict[str, Any] = {"name": "pacs", "url": origin.url, **settings.pop("origin", {})}
    app = await asyncio.to_thread(lambda: create_app(Settings(**{"origins": [first], **settings}), window_of))
    grace = app.settings.listen.grace
    sockets = [open_socket("127.0.0.1", 0) for _ in range(2)]
    viewers, admin = (f"http://127.0.0.1:{s.getsockname()[1]}" for s in sockets)
    stop = asyncio.Event()
    door = Door(app)
    rules = app.rules
    listeners = Listener(door, sockets[0], grace, rules), Listener(app.admin, sockets[1], grace, rules)
    async with app.running(), asyncio.TaskGroup() as group:
        serving = group.create_task(serve(*listeners, stop, app.plans.tasks.close))
        try:
            async with (
                httpx.AsyncClient(base_url=viewers, transport=Transport(PATIENCE), timeout=None) as viewer,
                httpx.AsyncClient(base_url=admin, transport=Transport(PATIENCE), timeout=None) as desk,
            ):
                while wait and app.readiness.unreached:
                    await asyncio.sleep(0.001)
                yield House(app, origin, viewer, desk, stop, door)
        except BaseException:
            for listener in listeners:  # a story that failed waits for no answer, but sockets are closed
                listener.config.timeout_graceful_shutdown = 0
            raise
        finally:
            stop.set()
            await serving


def cache_did(response: httpx.Response) -> str:
    """What Cache-Status says, without our name."""
    return re.sub(r"^progressive-proxy; ", "", response.headers.get("cache-status", ""))


async def read_until(chunks: AsyncIterator[bytes], size: int) -> bytes:
    """Reads on until so many bytes are there, one chunk more at most."""
    got = b""
    while len(got) < size:
        got += await anext(chunks)
    return got

"""A complete service on real sockets, in the event loop of the test: an origin, the proxy and a viewer."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import httpx
import pytest
import trustme
from starlette.types import Message, Receive, Scope, Send

from proxy.cache.objects import Objects
from proxy.cache.patience import Patience
from proxy.cache.shared import Shared
from proxy.cache.tier import Budget
from proxy.origin.transport import Transport, TransportLimits
from proxy.origin.window import Window
from proxy.service.app import App
from proxy.service.exact import Exact
from proxy.service.listeners import Listener, open_socket, serve
from proxy.service.origins import rust_transports
from proxy.service.tiers import TiersOf, tiers_of
from proxy.settings.model import Settings
from tests.numbered import numbered
from tests.scripted_origin import SERIES, ScriptedOrigin, running

STORY = 240
"""Seconds after which a test that hangs fails; no test takes that long on a busy machine."""
PATIENCE = TransportLimits(first_byte=STORY, stall=STORY)
"""Timeouts of the viewer."""


class SlowLine(Window):
    """A window that never grows, so that a test does not depend on the speed of the machine."""

    @property
    def in_one_round_trip(self) -> int:
        return 0

    def _resize(self) -> None:
        pass


class Door:
    """Counts the requests that reach the app, and the bytes that reach the listener before it."""

    def __init__(self, app: App) -> None:
        self.heard = 0
        self.entered = 0
        self.inside = 0
        """Requests that wait for the last piece of their response. It has not gone out yet."""
        self.running = 0
        """Requests that the app has not done with. It may have something left to do behind the response."""
        self._app = app.viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_inside = True

        def leave() -> None:
            nonlocal is_inside
            self.inside -= is_inside
            is_inside = False

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                leave()
            await send(message)

        self.inside += 1
        self.entered += 1
        self.running += 1
        try:
            await self._app(scope, receive, sent)
        finally:
            leave()
            self.running -= 1


class Heard(Exact):
    """A connection of a viewer that counts what it hears."""

    def __init__(self, door: Door, *others: Any, **more: Any) -> None:
        super().__init__(*others, **more)
        self._door = door

    def data_received(self, data: bytes) -> None:
        self._door.heard += len(data)
        super().data_received(data)


@dataclass
class House:
    """The origin, the proxy and the viewer that a test works with."""

    app: App
    origin: ScriptedOrigin
    viewer: httpx.AsyncClient
    admin: httpx.AsyncClient
    stop: asyncio.Event
    door: "Door"

    async def until_inside(self, count: int) -> None:
        """Waits until this many viewers' requests wait for their response; with 0, until the app is idle."""
        while self.door.inside != count or (self.door.running and not count):
            await asyncio.sleep(0)

    def metric(self, name: str, **labels: str) -> float:
        """The current value of a metric. 0 if it was never set."""
        return (
            self.app.telemetry.metrics.registry.get_sample_value(f"progressive_proxy_{name}", labels) or 0.0
        )

    async def until_idle(self) -> None:
        """Waits until no fill is in progress."""
        while len(self.app.fills):
            await asyncio.sleep(0)

    async def until_written(self) -> None:
        """Waits until no fill is in progress, and the tiers behind memory have nothing left to write."""
        await self.until_idle()
        assert self.app.tiered is not None
        await self.app.tiered.settled()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Waits until a condition holds."""
        while not is_so():
            await asyncio.sleep(0.001)  # the check can be slow, and the transport's threads need CPU time

    async def ask_plan(
        self,
        profile: str | None = None,
        series: str = SERIES,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Requests a plan for a series."""
        _, _, study, _, uid = series.split("/")
        wanted = {"study": study, "series": uid, "profile": profile, **more}
        return await self.admin.post("/v1/plans", json=wanted, headers=headers)

    async def begin_plan(self, profile: str, series: str = SERIES, **more: Any) -> str:
        """Starts a plan and returns its `Location`."""
        answer = await self.ask_plan(profile, series, **more)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    async def events(
        self, plan: str, headers: dict[str, str] | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        """All events of a plan, after it has ended. `headers` show who made it."""
        answer = await self.admin.get(f"{plan}/events", headers=headers)
        assert answer.status_code == 200
        return list(events_in(answer.text))


def events_in(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name and the fields of each server-sent event."""
    for event in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if fields:
            yield fields["event"], json.loads(fields["data"])


@asynccontextmanager
async def house(origin: ScriptedOrigin, /, *, wait: bool = True, **settings: Any) -> AsyncIterator[House]:
    """Runs an origin and the proxy, and provides a viewer that is connected to the proxy.

    `client` has the certificates of the viewer, if the proxy's settings say that it speaks TLS. `tiers` stand
    behind memory, in place of those that the settings name. `transport_of` makes the transports to origins.
    An origin with another URL than the story's sees no numbers. The settings are written to `file`, if given.
    """
    async with asyncio.timeout(STORY), running(origin), _proxy(origin, settings, wait=wait) as built:
        yield built


@asynccontextmanager
async def houses(origin: ScriptedOrigin, number: int, /, **settings: Any) -> AsyncIterator[list[House]]:
    """Runs several proxies with one origin."""
    async with asyncio.timeout(STORY), running(origin), AsyncExitStack() as stack:
        yield [await stack.enter_async_context(a_proxy(origin, settings)) for _ in range(number)]


def a_proxy(origin: ScriptedOrigin, settings: dict[str, Any]) -> AbstractAsyncContextManager[House]:
    """Runs one proxy with an origin that runs."""
    return _proxy(origin, dict(settings), wait=True)


@asynccontextmanager
async def _proxy(origin: ScriptedOrigin, settings: dict[str, Any], *, wait: bool) -> AsyncIterator[House]:
    window_of = settings.pop("window_of", SlowLine)
    said = settings.pop("origin", {})
    timeouts = dict.fromkeys(("connect", "first_byte", "stall"), STORY) | said.get("timeouts", {})
    first: dict[str, Any] = {"name": "pacs", "url": origin.url, **said, "timeouts": timeouts}
    client = settings.pop("client", None)
    transport_of = settings.pop("transport_of", None) or (rust_transports() if "url" in said else numbered())
    shared_limit = settings.pop("shared_limit", STORY)
    tiers, telemetry = settings.pop("tiers", None), settings.pop("telemetry", None)
    behind: TiersOf = tiers_of if tiers is None else lambda *_: tiers
    file: Path | None = settings.pop("file", None)
    given = {"origins": [first, *settings.pop("more_origins", ())], "admin": {"open": True}, **settings}
    if file is not None:
        await asyncio.to_thread(file.write_text, json.dumps(given, indent=1, default=str))
    with no_roots():
        app = await asyncio.to_thread(
            lambda: App(Settings(**given), transport_of, window_of, behind, telemetry=telemetry, path=file)
        )
        near = await asyncio.to_thread(lambda: Transport(PATIENCE, client))
    _make_patient(app, shared_limit, are_own=tiers is not None)
    grace = app.settings.listen.grace
    sockets = [open_socket("127.0.0.1", 0) for _ in range(2)]
    scheme = "http" if app.tls is None else "https"
    viewers, admin = (f"{scheme}://127.0.0.1:{s.getsockname()[1]}" for s in sockets)
    stop = asyncio.Event()
    door = Door(app)
    protocol = partial(Heard, door, app.repeats)
    listeners = (
        Listener(door, sockets[0], grace, app.rules, app.tls, app.connections, protocol=protocol),
        Listener(app.admin, sockets[1], grace, app.admin_rules, app.admin_tls, app.admin_connections),
    )
    async with app.running(), asyncio.TaskGroup() as group:
        serving = group.create_task(serve(*listeners, stop, app.close_streams))
        try:
            async with (
                httpx.AsyncClient(base_url=viewers, transport=near, timeout=None) as viewer,
                httpx.AsyncClient(base_url=admin, transport=near, timeout=None) as desk,
            ):
                if wait and app.greeting is not None:
                    await asyncio.shield(app.greeting)  # so that no greeting comes in the middle of a story
                yield House(app, origin, viewer, desk, stop, door)
        except BaseException:
            for listener in listeners:  # do not wait for responses after a failure
                listener.config.timeout_graceful_shutdown = 0
            raise
        finally:
            stop.set()
            await serving


@contextmanager
def no_roots() -> Iterator[None]:
    """No authority of the system is trusted. To read them all takes 11 ms for each client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", _own_root().name)
        patch.setenv("SSL_CERT_DIR", os.devnull)
        yield


@cache
def _own_root() -> IO[bytes]:
    """An authority that has signed nothing. Without one the client can not be built."""
    file = NamedTemporaryFile(suffix=".pem")  # noqa: SIM115  # it lasts as long as the tests
    trustme.CA().cert_pem.write_to_path(file.name)
    return file


def _make_patient(app: App, shared_limit: float, *, are_own: bool) -> None:
    """Lengthens the limits that are there for people: a busy machine would reach them within a story.

    The limits of tiers that the story brings are its own. No call to a shared server takes longer than
    `shared_limit`, so that a story of one that says half a word need not last.
    """
    app.readiness.pause = STORY  # an origin that is down is asked by the story only
    for each in app.origins.values():
        each.missing.kept = STORY
    app.study_plans.ahead.longest_wait = STORY
    if app.tiered is None:
        return
    app.tiered.patience = STORY
    for behind in app.tiered._tiers:
        behind._clock = lambda: 0.0  # a tier that fails is left alone for the rest of the story
        if are_own:
            continue
        tier = behind._tier
        tier.budget = Budget(STORY, STORY)  # type: ignore[misc]  # the disk's own is for people
        if isinstance(tier, Shared):
            tier.patience = Patience(STORY, STORY, STORY, STORY)
            tier.fences.lease = STORY
            limits = {"socket_timeout": shared_limit, "socket_connect_timeout": STORY}
            tier._server._given |= limits
            tier._server._around |= limits
        elif isinstance(tier, Objects):
            tier._calls._limit = STORY


def cache_did(response: httpx.Response) -> str:
    """The Cache-Status of a response, without the name of the proxy."""
    return re.sub(r"^progressive-proxy; ", "", response.headers.get("cache-status", ""))


async def read_until(chunks: AsyncIterator[bytes], size: int) -> bytes:
    """Reads until at least `size` bytes have arrived. It stops at the end of a chunk."""
    got = b""
    while len(got) < size:
        got += await anext(chunks)
    return got

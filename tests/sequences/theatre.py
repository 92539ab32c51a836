"""The environment in which sequences are played, many at once if needed.

One origin and one listener serve all sequences. Each sequence has a new proxy.
"""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from proxy.origin.transport import Transport, TransportLimits
from proxy.service.app import App
from proxy.service.listeners import Listener, open_socket
from proxy.settings.model import Settings
from tests.house import PATIENCE, STORY, SlowLine
from tests.scripted_origin import running
from tests.sequences.origin import Scene, Stage
from tests.sequences.play import SEATS, Play
from tests.sequences.values import PROFILES, Sequence
from tests.sequences.versions import FRAMES, versions

HANGS_AFTER = float(STORY)
"""Seconds after which a sequence counts as hanging."""
SILENCE, NO_SILENCE = 0.3, float(STORY)
"""Seconds that the proxy waits for an origin: while the origin may fall silent, and otherwise."""
COUNTED = (
    "frame_answers",
    "mismatches",
    "cut_answers",
    "resumes",
    "asked_again",
    "unguarded",
    "cache_evictions",
)
"""Metrics of the proxy that are added up over all sequences."""

Between = Callable[[httpx.Request, httpx.Response], httpx.Response]


def as_it_is(_: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Passes a response on unchanged."""
    return response


class Shared(httpx.AsyncBaseTransport):
    """One transport that many proxies share. None of them closes it."""

    def __init__(self, transport: Transport, between: Between) -> None:
        self._transport = transport
        self._between = between

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request and passes the response through `between`."""
        return self._between(request, await self._transport.handle_async_request(request))


class Hasty(httpx.AsyncBaseTransport):
    """Waits only a moment for a silent origin; after the end of the scene, as long as anybody needs."""

    def __init__(self, scene: Scene, hasty: Shared, patient: Shared) -> None:
        self._scene = scene
        self._hasty = hasty
        self._patient = patient

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """By one of the two."""
        transport = self._patient if self._scene.is_over.is_set() else self._hasty
        return await transport.handle_async_request(request)


@dataclass
class Theatre:
    """A running environment for sequences."""

    stage: Stage
    viewer: httpx.AsyncClient
    patient: Shared
    hasty: Shared
    plays: dict[str, Play]
    hangs_after: float
    faults: list[str] = field(default_factory=list)
    """Errors that the proxy logged because of a bug."""
    seen: Counter[str] = field(default_factory=Counter)
    """The metrics of all sequences, added up."""
    names: Iterator[int] = field(default_factory=count)

    async def play(self, sequence: Sequence) -> None:
        """Plays a sequence. Raises `AssertionError` if a property does not hold."""
        name = f"s{next(self.names)}"
        scene = self.stage.scenes[name] = Scene(sequence)
        app = await asyncio.to_thread(self._app, name, scene)
        play = self.plays[name] = Play(name, scene, app, self.viewer)
        playing = asyncio.create_task(_play(app, play))
        try:
            # asyncio.timeout would not help here, because a task that hangs may ignore its cancellation.
            await asyncio.wait({playing}, timeout=self.hangs_after)
            assert playing.done(), f"it hangs: {play}"
            await playing
            assert not self.faults, "the proxy logged an error of its own"
        except AssertionError as error:
            for note in (str(sequence), *self.faults):
                error.add_note(note)
            raise
        finally:
            playing.cancel()
            self.faults.clear()
            del self.stage.scenes[name], self.plays[name]
        self._count(play, app)

    def _app(self, name: str, scene: Scene) -> App:
        sequence = scene.sequence
        profiles = {
            key: profile | {"validators": sequence.policies["complete" in profile]}
            for key, profile in PROFILES.items()
        }
        origin = {"name": name, "url": f"{self.stage.url}/{name}", "limits": {"in_flight": SEATS}}
        settings = {"origins": [origin], "profiles": profiles, "cache": {"bytes": "1MiB"}}
        is_hasty = sequence.has(end="silent")
        transport = Hasty(scene, self.hasty, self.patient) if is_hasty else self.patient
        # On a slow line the proxy needs two fetches for a whole frame, so more can go wrong.
        return App(Settings.model_validate(settings), lambda _: transport, SlowLine)

    def _count(self, play: Play, app: App) -> None:
        self.seen["sequences"] += 1
        for heard in play.heard:
            self.seen[f"{heard.status} {heard.how}"] += 1
        for name in COUNTED:
            for sample in next(iter(getattr(app.telemetry.metrics, name).collect())).samples:
                told = [value for label, value in sample.labels.items() if label not in ("origin", "status")]
                if sample.name.endswith("_total"):
                    self.seen[" ".join((name, *told))] += int(sample.value)


async def _play(app: App, play: Play) -> None:
    async with app.running():
        try:
            await play.carry_out()
        finally:
            play.end()


@asynccontextmanager
async def theatre(between: Between = as_it_is, hangs_after: float = HANGS_AFTER) -> AsyncIterator[Theatre]:
    """Runs the environment until the `with` ends."""
    stage, plays, listener = Stage(), dict[str, Play](), open_socket("127.0.0.1", 0)

    async def switch(scope: Scope, receive: Receive, send: Send) -> None:
        await plays[scope["path"].split("/")[1]].door(scope, receive, send)

    def transports() -> list[Transport]:
        for frame in range(len(FRAMES)):  # compute these now, not while a sequence waits
            versions(frame, are_twins=True)
        return [
            Transport(PATIENCE),
            *(Transport(TransportLimits(STORY, each, each)) for each in (NO_SILENCE, SILENCE)),
        ]

    url = "http://{}:{}".format(*listener.getsockname())
    own, patient, hasty = await asyncio.to_thread(transports)
    server = Listener(switch, listener, 1)
    async with running(stage):
        serving = asyncio.create_task(server.until_ended())
        async with httpx.AsyncClient(base_url=url, transport=own, timeout=None) as viewer:
            found = Theatre(
                stage, viewer, Shared(patient, between), Shared(hasty, between), plays, hangs_after
            )
            try:
                with _told_of_faults(found.faults):
                    yield found
            finally:
                server.end()
                await serving
    for transport in (patient, hasty):
        await transport.aclose()


@contextmanager
def _told_of_faults(faults: list[str]) -> Iterator[None]:
    """Hears what our code logs as an error, and what the loop itself reports.

    The loop reports by its own handler. The logger `asyncio` speaks for all loops: when the garbage of an
    earlier test is collected, the logger tells of tasks that this test left behind.
    """

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            faults.append(logging.Formatter().format(record))

    def hear(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        faults.append("".join((context["message"], *_traceback_of(context.get("exception")))))

    handler, log, loop = Listening(logging.ERROR), logging.getLogger("proxy"), asyncio.get_running_loop()
    log.addHandler(handler)
    loop.set_exception_handler(hear)
    try:
        yield
    finally:
        loop.set_exception_handler(None)
        log.removeHandler(handler)


def _traceback_of(error: BaseException | None) -> list[str]:
    return ["\n", *traceback.format_exception(error)] if error is not None else []

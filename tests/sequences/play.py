"""A sequence while it is played: the viewers' side, and the checks at the end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count

import httpx

from proxy.access.caller import Caller
from proxy.fetch.series import ListedFrames
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, identify
from proxy.frame.key import FrameKey, SeriesKey
from proxy.frame.scope import FrameScope
from proxy.prefetch.run import Run
from proxy.service.app import App
from proxy.wire.resource import FrameResource
from tests.house import Door
from tests.scripted_origin import LABEL, UID
from tests.sequences.judge import Heard, Judge
from tests.sequences.origin import Scene
from tests.sequences.values import Act, Ask
from tests.sequences.versions import FRAMES, versions

SEATS = 6
"""Seats at the origin's gate."""
LOOK = 0.2
"""Seconds that a step waits for something that may not happen."""
FRAME = FrameResource(f"{UID}.1", f"{UID}.2", f"{UID}.3", 1)


class Play:
    """Plays one sequence. The proxy and the name of its origin belong to this sequence only."""

    def __init__(self, name: str, scene: Scene, app: App, viewer: httpx.AsyncClient) -> None:
        self.door = Door(app)
        self.heard: list[Heard] = []
        """All responses that viewers got."""
        self._name = name
        self._scene = scene
        self._app = app
        self._gate = app.suppliers[name].gate
        self._viewer = viewer
        self._judge = Judge(scene.sequence)
        self._asking: set[asyncio.Task[None]] = set()
        self._plans: list[Run] = []
        self._crowds = count(1)

    def __str__(self) -> str:
        fills = [
            f"{fill.size} bytes, {fill.demand.readers} readers" for fill in self._app.fills._table.values()
        ]
        seats = f"{self._gate._free} of {SEATS} seats are free"
        return f"{len(self._asking)} viewers wait, {self.door.inside} are answered, {seats}, fills: {fills}"

    async def carry_out(self) -> None:
        """Plays all steps, then checks the end."""
        for step in self._scene.sequence.steps:
            if isinstance(step, Ask):
                tag = self._judge.tag(step.frame, is_stale=step.is_stale) if step.condition else ""
                self._asking.add(asyncio.create_task(self._ask(step, tag)))
            else:
                await self._act(step)
        await self._until_answered()
        self._scene.end()
        self._cancel_plans()
        await self._until(self._is_at_rest)
        assert (self._gate.account.total, self._gate.running) == (0, set()), "the gate is not at rest"
        await self._is_served_as_it_is()

    def end(self) -> None:
        """Releases everything that still waits, whatever the outcome."""
        self._scene.end()
        for task in self._asking:
            task.cancel()

    async def _act(self, act: Act) -> None:
        match act.kind:
            case "look":
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._until(lambda: self._scene.is_stuck or self._are_answered())
            case "release":
                self._scene.release()
            case "end":
                await self._until_answered()
            case "replace":
                self._scene.replace(act.number)
            case "crowd":
                self._crowd(act.number * 1024)
            case "plan":
                self._plan(act)
            case "cancel":
                self._cancel_plans()

    def _plan(self, act: Act) -> None:
        frames = (replace(FRAME, frame_number=number + 1) for number in range(act.number, len(FRAMES)))
        listed = ListedFrames(SeriesKey(self._name, b"", FRAME.study, FRAME.series), tuple(frames))
        self._plans.append(self._app.plans.start(listed, Caller(self._name, (), b""), act.profile))

    def _cancel_plans(self) -> None:
        while self._plans:
            self._app.plans.cancel(self._plans.pop())

    def _crowd(self, size: int) -> None:
        """Puts one more frame into the cache, which evicts others if there is no space."""
        body = versions(0, are_twins=False)[0][:65536]
        key = FrameKey(self._name, b"", replace(FRAME, instance="1", frame_number=next(self._crowds)))
        frame = Frame(identify(Claim(LABEL, size, None), body), (body, bytes(size - len(body))), size)
        self._app.fills._store.put(key, frame)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await asyncio.sleep(0.001)

    def _are_answered(self) -> bool:
        return all(task.done() for task in self._asking)

    async def _until_answered(self) -> None:
        while not self._are_answered():
            self._scene.release()
            await asyncio.wait(self._asking, timeout=0.002)
        for task in self._asking:
            task.result()
        self._asking.clear()

    def _is_at_rest(self) -> bool:
        fills = len(self._app.fills) + len(self._app.fills.tasks._running)
        is_busy = fills or self._app.plans.tasks._running or self.door.inside
        return not is_busy and self._gate._free == SEATS

    async def _is_served_as_it_is(self) -> None:
        """Requests each frame twice from a correct origin. Only the second response has to be correct."""
        self._app.origins[self._name].missing.forget(FrameScope(self._name))  # instead of a pause of seconds
        for frame in sorted({step.frame for step in self._scene.sequence.steps if isinstance(step, Ask)}):
            for _ in range(2):
                heard = await self._ask_at_rest(frame)
            # While the origin rests, a stale frame may stand in for it.
            is_stale = "stale-if-error" in heard.headers.get("cache-status", "")
            is_good = (heard.status, heard.how) == (200, "whole") and not is_stale
            if is_good and self._scene.sequence.is_never_stale:
                assert heard.body == self._scene.stored(frame), f"not the stored version: {heard}"
            assert is_good or self._app.origins[self._name].health.is_resting, f"not served: {heard}"

    async def _ask_at_rest(self, frame: int) -> Heard:
        while True:
            await self._ask(Ask(frame), "")
            await self._until(self._is_at_rest)
            # On a busy machine a correct origin can exceed the short time limit of a sequence about silence.
            if self.heard[-1].status != 504 or not self._scene.sequence.has(end="silent"):
                return self.heard[-1]

    async def _ask(self, ask: Ask, tag: str) -> None:
        heard = Heard(ask, tag)
        path = replace(FRAME, frame_number=ask.frame + 1).path
        url = f"/{self._name}/{path}?{ask.query}profile={ask.profile}"
        headers = {"accept": ask.accept, "range": f"bytes={ask.range}", ask.condition: tag}
        if not ask.range:
            del headers["range"]
        if not tag:
            del headers[ask.condition]
        with suppress(httpx.TransportError):
            async with self._viewer.stream(ask.method, url, headers=headers) as answer:
                heard.status, heard.headers = answer.status_code, answer.headers
                await _read(answer, heard)
        self.heard.append(heard)
        self._judge.hear(heard)


async def _read(answer: httpx.Response, heard: Heard) -> None:
    leaves_at = heard.ask.leaves_at
    if leaves_at != 0:
        async for chunk in answer.aiter_raw():
            heard.body += chunk
            if leaves_at is not None and len(heard.body) >= leaves_at:
                break
        else:
            heard.how = "whole"
            return
    heard.how = "left"

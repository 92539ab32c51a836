"""Random viewers, and plans. Each response goes to the judge."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.soak import frames
from tests.soak.judge import Heard, Judge, ways_of
from tests.soak.rights import KEEPERS, UNKNOWN, generation, token

FIRST = 65536
SESSION = 25
"""Acts of a viewer before it goes and another one comes, with another token, to another study."""
PATIENCE = 240.0
"""Seconds without a byte after which a response counts as one that hangs."""
OCTETS = "application/octet-stream; transfer-syntax=*"
"""As stored. Without the parameter, the origin has to decode, and the proxy keeps no such frame."""
PROFILES = ("sequential", "interleaved", "byteRange", "htj2kReduced")
"""Profiles of the plans."""


@dataclass(frozen=True)
class Places:
    """The base URLs."""

    proxy: str
    admin: str
    origin: str


@dataclass
class Viewer:
    """One viewer, for one session."""

    places: Places
    judge: Judge
    chance: Random
    client: httpx.AsyncClient
    records: httpx.AsyncClient
    """For the origin's record. The origin closes idle connections, so each request has one of its own."""
    study: int = 0
    keeper: int = 0
    is_refused: bool = False
    """True if the last response was a 401."""
    authorization: str = ""
    _tags: dict[str, str] = field(default_factory=dict)

    def come(self) -> None:
        """Chooses study and token. A few tokens are unknown, and a few were good once."""
        self.study = int(frames.STUDIES * self.chance.random() ** 2)
        self.keeper = self.chance.randrange(KEEPERS)
        self.renew()
        if self.chance.random() < 0.03:
            _, keeper, number = self.authorization.split("-")
            self.authorization = token(int(keeper), int(number) - 1)
        if self.chance.random() < 0.03:
            self.authorization = UNKNOWN

    def renew_late(self) -> None:
        """Gets a new token, sooner or later, if the old one was refused."""
        if self.is_refused and self.chance.random() < 0.3:
            self.renew()

    def renew(self) -> None:
        """Gets a new token if the old one has ended."""
        self.authorization = token(self.keeper, generation(self.keeper, time.monotonic()))

    async def act(self) -> None:
        """Does one thing."""
        acts: dict[Callable[[], Awaitable[None]], int] = {
            self._scroll: 3,
            self._whole: 4,
            self._two_steps: 6,
            self._list: 3,
            self._head: 1,
            self._validate: 2,
            self._leave: 3,
            self._read_slowly: 1,
            self._resume: 2,
            self._metadata: 1,
        }
        (chosen,) = self.chance.choices([*acts], [*acts.values()])
        await chosen()

    async def _scroll(self) -> None:
        paths = {self._frame() for _ in range(6)}
        await asyncio.gather(*(self._ask((path,), {"range": f"bytes=0-{FIRST - 1}"}) for path in paths))

    async def _whole(self) -> None:
        await self._ask((self._frame(),))

    async def _two_steps(self) -> None:
        """The first 64 KiB, then the rest of the same version."""
        path = self._frame()
        first = await self._ask((path,), {"range": f"bytes=0-{FIRST - 1}"})
        total = first.headers.get("content-range", "/0").rpartition("/")[2]
        if first.status != 206 or int(total) <= FIRST:
            return
        tag = first.headers.get("etag", "W/")
        guard = {} if tag.startswith("W/") else {"if-range": tag}
        await self._ask((path,), {"range": f"bytes={FIRST}-"} | guard)

    async def _list(self) -> None:
        instance = self.chance.randrange(frames.INSTANCES)
        wanted = self.chance.sample(range(frames.FRAMES), self.chance.randrange(2, frames.FRAMES + 1))
        paths = tuple(frames.frame_path(self.study, instance, number) for number in wanted)
        await self._ask(paths, {"accept": 'multipart/related; type="*/*"; transfer-syntax=*'})

    async def _head(self) -> None:
        await self._ask((self._frame(),), method="HEAD")

    async def _validate(self) -> None:
        path = self._frame()
        tag = self._tags.get(path)
        await self._ask((path,), {"if-none-match": tag} if tag else {})

    async def _leave(self) -> None:
        await self._ask((self._frame(),), leaves_at=self.chance.randrange(200_000))

    async def _read_slowly(self) -> None:
        await self._ask((self._frame(),), pause=0.1)

    async def _resume(self) -> None:
        await self._ask((self._frame(),), {"range": f"bytes={self.chance.randrange(20_000)}-"})

    async def _metadata(self) -> None:
        path = f"{self.places.proxy}{frames.series_path(self.study)}/metadata"
        with suppress(httpx.TransportError):
            await self.client.get(path, headers={"authorization": self.authorization})

    def _frame(self) -> str:
        instance = int(frames.INSTANCES * self.chance.random() ** 2)
        return frames.frame_path(self.study, instance, self.chance.randrange(frames.FRAMES))

    async def _ask(
        self,
        paths: tuple[str, ...],
        headers: dict[str, str] | None = None,
        method: str = "GET",
        leaves_at: int | None = None,
        pause: float = 0.0,
    ) -> Heard:
        """Asks for a frame, or for several of an instance, and lets the judge hear the response."""
        base, numbers = paths[0].rpartition("/")[0], ",".join(path.rpartition("/")[2] for path in paths)
        sent = {"accept": "image/jphc" if frames.nature(paths[0]).is_htj2k else OCTETS} | (headers or {})
        heard = Heard(paths, self.authorization, time.monotonic(), sent, method)
        asked = sent | {"authorization": self.authorization}
        try:
            async with self.client.stream(
                method, f"{self.places.proxy}{base}/{numbers}", headers=asked
            ) as answer:
                heard.status, heard.headers = answer.status_code, answer.headers
                await _read(answer, heard, leaves_at, pause)
        except httpx.TimeoutException:
            heard.how = "hangs"
        except httpx.TransportError:
            heard.how = "cut"
        heard.ended = time.monotonic()
        self.is_refused = heard.status == 401
        self.judge.hear(heard, await self._ways(heard) if heard.is_broken else ())
        if heard.status in (200, 206) and "etag" in heard.headers:
            self._tags[paths[0]] = heard.headers["etag"]
        return heard

    async def _ways(self, heard: Heard) -> list[str]:
        """The origin's faults that can concern a response."""
        found = []
        for path in heard.paths:
            found += ways_of(heard, await self._record(path))
        return found

    async def _record(self, path: str) -> list[tuple[float, str]]:
        """What the origin did wrong for a path."""
        while True:  # a busy machine may take longer to send a request than the origin waits for one
            with suppress(httpx.RemoteProtocolError):
                answer = await self.records.get(f"{self.places.origin}/records{path}")
                found: list[tuple[float, str]] = answer.json()
                return found

    async def plan(self) -> None:
        """Starts a plan, and cancels it after a while, unless it has ended."""
        asked = {
            "study": f"1.{self.study}",
            "series": f"1.{self.study}.1",
            "profile": self.chance.choice(PROFILES),
        }
        headers = {"authorization": self.authorization}
        with suppress(httpx.TransportError):
            answer = await self.client.post(f"{self.places.admin}/v1/plans", json=asked, headers=headers)
            self.judge.counts[f"plans: {answer.status_code}"] += 1
            self.is_refused = answer.status_code == 401
            await asyncio.sleep(self.chance.uniform(0, 6))
            if answer.status_code == 202:
                await self.client.delete(self.places.admin + answer.headers["location"], headers=headers)


async def _read(answer: httpx.Response, heard: Heard, leaves_at: int | None, pause: float) -> None:
    async for chunk in answer.aiter_raw(FIRST if pause else None):
        heard.body += chunk
        if leaves_at is not None and len(heard.body) >= leaves_at:
            heard.how = "left"
            return
        await asyncio.sleep(pause)
    heard.how = "whole"


def _client(**limits: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        trust_env=False, verify=False, timeout=PATIENCE, limits=httpx.Limits(max_connections=100, **limits)
    )


async def view(places: Places, judge: Judge, seed: int, until: float, *, plans: bool = False) -> None:
    """Sessions of one viewer after the other, until a time of the monotonic clock."""
    chance = Random(seed)
    while time.monotonic() < until:
        async with _client() as client, _client(max_keepalive_connections=0) as records:
            viewer = Viewer(places, judge, chance, client, records)
            viewer.come()
            for _ in range(SESSION):
                if time.monotonic() >= until:
                    return
                viewer.renew_late()
                await (viewer.plan() if plans else viewer.act())
                await asyncio.sleep(chance.expovariate(4))

"""An origin that lets some callers read, and a house in which time passes only when a test says so."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.house import House, cache_did, house
from tests.scripted_origin import SERIES, UID, Asked, Reply, ScriptedOrigin, codestream

SINGLE = {"accept": "image/jphc"}
OTHER_STUDY = f"/studies/{UID}.8/series/{UID}.9"
BODIES = tuple(codestream(60_000 + 1000 * number, seed=number) for number in range(4))
PLAIN: dict[str, Any] = {"profile": "single"}
"""Each frame costs one request to the origin."""


class GuardedOrigin(ScriptedOrigin):
    """Lets the callers in `readers` read, each by its `Authorization`, and refuses all others."""

    def __init__(self, *readers: str, bodies: Sequence[bytes] = BODIES) -> None:
        super().__init__(script=self._guard)
        self.readers = set(readers)
        self.refused: set[tuple[str, str]] = set()
        """Readers that are refused all the same below a path."""
        self.refusal = Reply(403, {"www-authenticate": "Bearer realm=pacs"}, (b"no",))
        self.then: Callable[[Asked], Reply | None] = lambda asked: None
        """Answers those who may read."""
        self.with_series(bodies)

    def _guard(self, asked: Asked) -> Reply | None:
        if not asked.path.startswith("/studies/"):
            return None
        who = who_asks(asked)
        is_refused = any(who == name and asked.path.startswith(path) for name, path in self.refused)
        return self.refusal if who not in self.readers or is_refused else self.then(asked)


def who_asks(asked: Asked) -> str:
    """The caller of a request."""
    return asked.headers.get("authorization", "").removeprefix("Bearer ")


class Guarded:
    """A house with a clock of its own."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.now = 1000.0
        home.app.proofs._clock = home.app.resources.rights.proofs._clock = lambda: self.now
        home.app.resources.holding.clock = lambda: self.now

    async def ask(self, who: str, path: str, **headers: str) -> httpx.Response:
        """The origin's answer to a caller."""
        proof = {"authorization": f"Bearer {who}"} if who else {}
        answer = await self.home.viewer.get(path, headers=SINGLE | proof | headers)
        await self.home.until_idle()
        return answer

    async def did(self, who: str, path: str) -> tuple[int, str]:
        """The status that a caller gets, and what the cache did."""
        answer = await self.ask(who, path)
        return answer.status_code, cache_did(answer)

    def probes(self, outcome: str = "yes") -> float:
        """The number of probes with this outcome."""
        return self.home.metric("access_probes_total", outcome=outcome)


@asynccontextmanager
async def guarded(origin: ScriptedOrigin, /, **settings: Any) -> AsyncIterator[Guarded]:
    """Runs the house. Each frame costs one request to the origin."""
    async with house(origin, **(PLAIN | settings)) as home:
        yield Guarded(home)


__all__ = ["BODIES", "OTHER_STUDY", "SERIES", "SINGLE", "Guarded", "GuardedOrigin", "guarded", "who_asks"]

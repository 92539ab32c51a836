"""A caller whom the proxy itself lets in no longer gets nothing more of a response under way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.guarded_origin import SINGLE, Guarded
from tests.house import events_in, read_until
from tests.issuer import Issuer
from tests.scripted_origin import SERIES, Asked, Piece, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.stories.test_forward_auth import Authorizer, behind
from tests.stories.test_jwt import verifier_of, verifying

pytestmark = pytest.mark.anyio

FRAME, OTHER = frame_of(0), frame_of(1)
LARGE = codestream(400_000)
TEXT = b"[" + b" " * 40_000 + b"]"
METADATA = f"{SERIES}/metadata"
SEARCH, FORWARDED = "/studies?PatientID=1", f"{SERIES}/other"
WAYS = {"frame": FRAME, "metadata": METADATA, "search": SEARCH, "forwarded": FORWARDED}
POLICIES = ["ask-origin", "shared", "own"]
CASES = [(FRAME, "ask-origin"), (FRAME, "own"), *((path, "shared") for path in WAYS.values())]


class Halting(ScriptedOrigin):
    """Lets everybody read. The body of each way stops in the middle at a barrier."""

    def __init__(self, halting: Collection[str] = tuple(WAYS.values())) -> None:
        super().__init__(script=self._halt)
        self.with_series([LARGE, codestream(60_000)])
        self.barrier = asyncio.Event()
        self._halting = halting

    def _halt(self, asked: Asked) -> Reply | None:
        if asked.path not in self._halting:
            return None
        if asked.path in self.frames:
            reply = honest(self.frames[asked.path], asked)
        else:
            reply = Reply(200, {"content-type": "application/dicom+json"}, (TEXT,))
        [body] = reply.pieces
        assert isinstance(body, bytes)
        pieces: tuple[Piece, ...] = (body[:20_000], self.barrier, body[20_000:])
        return Reply(reply.status, reply.headers | {"content-length": str(len(body))}, pieces)


class Guard:
    """Lets a caller in; a story ends that."""

    def __init__(self, at: Guarded, origin: Halting, authorizer: Authorizer | None, who: str) -> None:
        self.at, self.origin, self.authorizer, self.who = at, origin, authorizer, who

    @asynccontextmanager
    async def reading(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The caller has read some bytes of a response."""
        headers = self.headers | (SINGLE if path == FRAME else {"accept": "*/*"})
        async with self.at.home.viewer.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200
            chunks = answer.aiter_raw()
            await read_until(chunks, 1)
            yield chunks

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.who}"}

    async def rest(self, chunks: AsyncIterator[bytes]) -> int:
        self.origin.barrier.set()
        return sum([len(chunk) async for chunk in chunks])

    def refused(self) -> float:
        return float(self.at.home.app.telemetry.metrics.cut_answers.labels("CallerRefused")._value.get())


async def _given(policy: str, folder: Path) -> dict[str, Any]:
    if policy != "own":
        return {}
    await asyncio.to_thread((folder / "token").write_text, "ours\n")
    return {"credentials": {"bearer_file": str(folder / "token")}}


@asynccontextmanager
async def authorized(
    policy: str, folder: Path, ttl: float = 60, origin: Halting | None = None
) -> AsyncIterator[Guard]:
    origin, authorizer, said = (
        origin or Halting(),
        Authorizer("a"),
        "shared" if policy == "shared" else "ask-origin",
    )
    given = await _given(policy, folder)
    async with behind(authorizer, origin, policy=said, access={"ttl": ttl}, origin=given) as at:
        yield Guard(at, origin, authorizer, "a")


@asynccontextmanager
async def with_token(policy: str, folder: Path, issuer: Issuer) -> AsyncIterator[Guard]:
    origin, access = Halting(), {"policy": "shared" if policy == "shared" else "ask-origin"}
    given = await _given(policy, folder)
    async with verifying(origin, issuer, access, origin=given) as at:
        yield Guard(at, origin, None, issuer.token(jti="1"))


def expire(at: Guarded, by: float) -> None:
    """That many seconds pass on the clock of tokens."""
    verifier = verifier_of(at)
    now: Callable[[], float] = verifier._clock
    verifier._clock = lambda: now() + by


@pytest.mark.parametrize(("path", "policy"), CASES)
async def test_a_response_ends_with_the_token(path: str, policy: str, tmp_path: Path) -> None:
    async with with_token(policy, tmp_path, Issuer()) as guard, guard.reading(path) as chunks:
        expire(guard.at, 3700)
        with pytest.raises(httpx.HTTPError):
            await guard.rest(chunks)
        assert guard.refused() == 1


@pytest.mark.parametrize("policy", POLICIES)
async def test_it_goes_on_if_the_person_has_shown_a_later_token(policy: str, tmp_path: Path) -> None:
    issuer = Issuer()
    async with with_token(policy, tmp_path, issuer) as guard, guard.reading(FRAME) as chunks:
        later = issuer.token(exp=4_000_000_000)
        assert (
            await guard.at.home.viewer.get(OTHER, headers=SINGLE | {"authorization": f"Bearer {later}"})
        ).status_code == 200
        expire(guard.at, 3700)
        assert await guard.rest(chunks) > len(LARGE) - 30_000


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_token_of_somebody_else_is_no_later_one(policy: str, tmp_path: Path) -> None:
    issuer = Issuer()
    async with with_token(policy, tmp_path, issuer) as guard, guard.reading(FRAME) as chunks:
        eve = issuer.token("eve", exp=4_000_000_000)
        assert (
            await guard.at.home.viewer.get(OTHER, headers=SINGLE | {"authorization": f"Bearer {eve}"})
        ).status_code == 200
        expire(guard.at, 3700)
        with pytest.raises(httpx.HTTPError):
            await guard.rest(chunks)


@pytest.mark.parametrize("ttl", [60, 0], ids=["ttl", "no ttl"])
@pytest.mark.parametrize(("path", "policy"), [(FRAME, "ask-origin"), (FRAME, "own"), (METADATA, "shared")])
async def test_a_response_ends_with_a_refusal_elsewhere(
    path: str, ttl: float, policy: str, tmp_path: Path
) -> None:
    async with authorized(policy, tmp_path, ttl) as guard, guard.reading(path) as chunks:
        assert guard.authorizer is not None
        guard.authorizer.readers.clear()
        guard.at.now += 61
        refused = await guard.at.home.viewer.get(OTHER, headers=SINGLE | guard.headers)
        assert refused.status_code == 401
        with pytest.raises(httpx.HTTPError):
            await guard.rest(chunks)
        assert guard.refused() == 1


@pytest.mark.parametrize(("path", "policy"), CASES)
@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "let in"])
async def test_a_yes_that_has_ended_is_asked_for_again(
    is_refused: bool, path: str, policy: str, tmp_path: Path
) -> None:
    async with authorized(policy, tmp_path) as guard, guard.reading(path) as chunks:
        assert guard.authorizer is not None
        before = len(guard.authorizer.asked)
        if is_refused:
            guard.authorizer.readers.clear()
        guard.at.now += 61
        if is_refused:
            with pytest.raises(httpx.HTTPError):
                await guard.rest(chunks)
        else:
            assert await guard.rest(chunks) > 0
        assert len(guard.authorizer.asked) == before + 1
        assert guard.refused() == is_refused


async def test_without_a_ttl_a_response_asks_no_second_time(tmp_path: Path) -> None:
    async with authorized("shared", tmp_path, 0) as guard, guard.reading(FRAME) as chunks:
        assert guard.authorizer is not None
        before = len(guard.authorizer.asked)
        assert await guard.rest(chunks) > len(LARGE) - 30_000
        assert len(guard.authorizer.asked) == before


async def test_a_response_that_has_not_begun_is_the_refusal(tmp_path: Path) -> None:
    async with authorized("shared", tmp_path) as guard:
        assert guard.authorizer is not None
        home, before = guard.at.home, asyncio.Event()
        script = guard.origin.script
        guard.origin.script = lambda asked: honest(guard.origin.frames[asked.path], asked, before=[before])
        asking = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE | guard.headers))
        await home.until(lambda: guard.origin.requests_of(FRAME) == 1)
        guard.origin.script = script
        guard.authorizer.readers.clear()
        guard.at.now += 61
        before.set()
        answer = await asking
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer realm=clinic")
        assert guard.refused() == 0


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_plan_shows_nothing_more_to_a_maker_who_is_let_in_no_longer(
    policy: str, tmp_path: Path
) -> None:
    async with authorized(policy, tmp_path, origin=Halting([FRAME, OTHER])) as guard:
        assert guard.authorizer is not None
        home = guard.at.home
        plan = await home.begin_plan("sequential", headers=guard.headers)
        async with home.admin.stream("GET", f"{plan}/events", headers=guard.headers) as answer:
            assert answer.status_code == 200
            await home.until(lambda: guard.origin.requests_of(FRAME) == 1)
            guard.authorizer.readers.clear()
            guard.at.now += 61
            guard.origin.barrier.set()
            events = list(events_in((await answer.aread()).decode()))
        assert [name for name, _ in events if name == "frame"] == []


async def test_what_is_held_is_cut_likewise(tmp_path: Path) -> None:
    origin = Halting([])
    origin.with_series([codestream(30_000_000)])  # more than the kernel takes at once
    async with authorized("shared", tmp_path, origin=origin) as guard:
        assert guard.authorizer is not None
        assert (await guard.at.ask("a", FRAME)).status_code == 200
        async with guard.reading(FRAME) as chunks:
            guard.authorizer.readers.clear()
            guard.at.now += 61
            with pytest.raises(httpx.HTTPError):
                await guard.rest(chunks)
        assert guard.refused() == 1

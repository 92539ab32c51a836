"""A shared server that is dead, slow, full or mad: nobody sees an error or a wrong byte."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.cache import behind
from proxy.cache.patience import Patience
from tests.house import STORY, House, cache_did, house
from tests.ports import free_port
from tests.scripted_origin import ScriptedOrigin, codestream, frame_of
from tests.stories.test_shared import SINGLE, STUDY, shared
from tests.valkey_server import relay, running_valkey, saying, settings_with

pytestmark = pytest.mark.anyio

BODIES = [codestream(300_000 + number, seed=number) for number in range(8)]
LATE = Patience(0.001, 0.0, 0.001, 0.0)
"""Limits that a server passes for certain if it needs 50 ms."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as port:
        yield port


@asynccontextmanager
async def at(
    port: int, folder: Path, patience: Patience | None = None, limit: float = STORY
) -> AsyncIterator[House]:
    origin = ScriptedOrigin().with_series(BODIES)
    async with house(
        origin, **settings_with(folder, f"valkey://127.0.0.1:{port}"), shared_limit=limit
    ) as home:
        if patience is not None:
            shared(home).patience = patience
        yield home


async def each_frame_comes(home: House) -> None:
    """Each frame comes from the origin, complete and without an error."""
    for number, body in enumerate(BODIES):
        answer = await home.viewer.get(frame_of(number), headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, body)
        assert cache_did(answer) == "fwd=miss; stored"


def lookups(home: House, outcome: str) -> float:
    return home.metric("tier_lookups_total", tier="shared", part="first", outcome=outcome)


async def test_a_server_that_is_dead(tmp_path: Path) -> None:
    async with at(free_port(), tmp_path) as home:
        await each_frame_comes(home)
        assert lookups(home, "failed") == behind.FAILURES  # then it is left alone


async def test_a_purge_while_the_server_is_dead_says_so(tmp_path: Path) -> None:
    async with at(free_port(), tmp_path) as home:
        await each_frame_comes(home)
        assert home.app.tiered is not None
        home.app.tiered.patience = 0.0
        assert (await home.admin.delete(f"/cache{STUDY}")).status_code == 503
        assert home.app.tiered._memory.size == 0


async def test_a_server_that_is_slow(port: int, tmp_path: Path) -> None:
    async with relay(port, delay=0.05) as slow, at(slow, tmp_path, LATE) as home:
        await each_frame_comes(home)
        assert lookups(home, "late") == behind.FAILURES


async def test_answers_that_come_too_late_are_never_those_to_another_look_up(
    port: int, tmp_path: Path
) -> None:
    async with relay(port, delay=0.05) as slow:
        async with at(slow, tmp_path) as home:
            await each_frame_comes(home)
            await home.until_written()
        async with at(slow, tmp_path) as home:
            home.app.tiered._tiers[0]._clock = lambda: float("inf")  # type: ignore[union-attr]  # never alone
            for _ in range(3):
                shared(home).patience = LATE
                await asyncio.gather(*(home.viewer.get(frame_of(n), headers=SINGLE) for n in range(8)))
                shared(home).patience = Patience(STORY, 0.0, STORY, 0.0)
                for number, body in enumerate(BODIES):
                    answer = await home.viewer.get(frame_of(number), headers=SINGLE)
                    assert answer.content == body
                await home.until_written()
            assert lookups(home, "wrong") == 0


async def test_a_server_that_is_full(tmp_path: Path) -> None:
    with running_valkey(tmp_path, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction") as full:
        async with at(full, tmp_path) as home:
            await each_frame_comes(home)
            await home.until_written()
            assert lookups(home, "failed") == 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl", "allkeys-lfu"])
async def test_a_server_that_evicts_what_it_likes(tmp_path: Path, policy: str) -> None:
    with running_valkey(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", policy) as small:
        for _ in range(2):
            async with at(small, tmp_path) as home:
                for number, body in enumerate(BODIES):
                    assert (await home.viewer.get(frame_of(number), headers=SINGLE)).content == body
                await home.until_written()
                assert lookups(home, "wrong") == lookups(home, "failed") == 0


GARBAGE = {
    "another protocol": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "numbers": lambda said: b":7\r\n" * said.count(b"*"),
    "text": lambda said: b"+OK\r\n" * said.count(b"*"),
    "lists": lambda said: b"*1\r\n$1\r\nx\r\n" * said.count(b"*"),
    "errors": lambda said: b"-LOADING not yet\r\n" * said.count(b"*"),
    "other values": lambda said: b"$64\r\n" + b"x" * 64 + b"\r\n" * said.count(b"*"),
    "nothing known": lambda said: b"\x00\xff" * 99,
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_a_server_that_answers_garbage(tmp_path: Path, name: str) -> None:
    async with saying(GARBAGE[name]) as mad, at(mad, tmp_path, limit=1.0) as home:
        await each_frame_comes(home)
        assert lookups(home, "hit") == 0
        assert lookups(home, "failed") + lookups(home, "wrong") + lookups(home, "miss") > 0


async def test_a_server_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    async with saying(lambda _: b"") as silent, at(silent, tmp_path, LATE) as home:
        await each_frame_comes(home)
        assert lookups(home, "late") == behind.FAILURES


async def test_no_password_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARED_PASSWORD", "very-secret")
    caplog.set_level("DEBUG")
    with running_valkey(tmp_path, "--requirepass", "another") as locked:
        given: dict[str, Any] = settings_with(
            tmp_path, f"valkey://127.0.0.1:{locked}", password_env="SHARED_PASSWORD"
        )
        async with house(ScriptedOrigin().with_series(BODIES), **given) as home:
            await each_frame_comes(home)
            assert lookups(home, "failed") == behind.FAILURES
            assert "very-secret" not in repr(home.app.settings)
    assert "very-secret" not in "".join(repr(vars(record)) for record in caplog.records)

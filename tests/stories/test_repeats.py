"""A request that is repeated byte for byte gets the same answer without the app, if all is as it was."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.plan.choice import CurrentChoice
from proxy.viewers.repeats import LONGEST
from tests.guarded_origin import BODIES, Guarded, GuardedOrigin, guarded
from tests.house import House, house
from tests.issuer import HOUR, Issuer
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, frame_of
from tests.stories.test_forward_auth import Authorizer, behind
from tests.stories.test_jwt import Trusting, keys_of, verifier_of, verifying

pytestmark = pytest.mark.anyio

BODY = codestream(300_000)
HELD = frame_of(0)
PAGE = "http://viewer.example"
ETAG = re.compile(rb"etag: ([^\r]*)")


class Line:
    """A connection of a viewer, which sends bytes as it likes."""

    def __init__(self, home: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.home, self.reader, self.writer = home, reader, writer

    async def get(self, path: str = FRAME, method: str = "GET", **headers: str) -> bytes:
        """The answer to a request that is sent at once."""
        self.writer.write(head_of(self.home, path, method, **headers))
        return await self.answer(has_body=method != "HEAD")

    async def send(self, piece: bytes) -> None:
        """Sends bytes, and waits until the proxy has read them, so the next ones come apart."""
        before = self.home.door.heard
        self.writer.write(piece)
        await self.home.until(lambda: self.home.door.heard >= before + len(piece))

    async def answer(self, *, has_body: bool = True) -> bytes:
        """The next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head)
        status = head.split(b" ")[1]
        size = int(length[1]) if length and has_body and status != b"304" else 0
        return head + await self.reader.readexactly(size)

    async def skips(self, **asked: str) -> bool:
        """True if the answer to a request comes without the app."""
        before = self.home.door.entered
        await self.get(**asked)
        return self.home.door.entered == before


def head_of(home: House, path: str, method: str = "GET", **headers: str) -> bytes:
    told = {"host": home.viewer.base_url.netloc.decode(), "accept": "image/jphc"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


@asynccontextmanager
async def line(home: House) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection(*home.viewer.base_url.netloc.decode().split(":"))
    try:
        yield Line(home, reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def holding(**settings: Any) -> AsyncIterator[Line]:
    """A line to a house that holds a whole frame."""
    async with house(ScriptedOrigin({FRAME: BODY}), **settings) as home, line(home) as viewer:
        await home.viewer.get(FRAME, headers={"accept": "image/jphc"})
        await home.until_idle()
        yield viewer


def lasting(answer: bytes) -> bytes:
    """An answer without what the time changes."""
    return re.sub(rb"(?m)^date: .*|dur=[0-9.]+", b"", answer)


ASKED: dict[str, dict[str, str]] = {
    "whole": {},
    "first range": {"range": "bytes=0-65535"},
    "short range": {"range": "bytes=0-99"},
    "in the middle": {"range": "bytes=70000-200000"},
    "the rest": {"range": "bytes=65536-"},
    "the end": {"range": "bytes=-1000"},
    "no such range": {"range": "bytes=900000-"},
    "two ranges": {"range": "bytes=0-1,5-6"},
    "multipart": {"accept": "multipart/related; type=image/jphc"},
    "a range of multipart": {"accept": "multipart/related; type=image/jphc", "range": "bytes=0-99"},
    "head": {"method": "HEAD"},
    "head of a range": {"method": "HEAD", "range": "bytes=0-99"},
    "a page": {"origin": PAGE},
    "another page": {"origin": "http://other.example"},
    "origin in the path": {"path": f"/pacs{FRAME}"},
    "arguments": {"path": f"{FRAME}?accept=image/jphc"},
    "profile": {"retrieve_profile": "single"},
    "traced": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    "same version": {"if_none_match": "ETAG"},
    "any version": {"if_none_match": "*"},
    "other version": {"if_none_match": '"x"'},
    "range of this version": {"if_range": "ETAG", "range": "bytes=100-199"},
    "range of another version": {"if_range": '"x"', "range": "bytes=0-199"},
    "this version": {"if_match": "ETAG"},
}


@pytest.mark.parametrize("name", ASKED)
async def test_both_ways_send_the_same_bytes_and_count_the_same(name: str) -> None:
    async with holding(cors={"origins": [PAGE]}) as viewer:
        etag = ETAG.findall(await viewer.get(x_other="1"))[0].decode()
        asked = {key: value.replace("ETAG", etag) for key, value in ASKED[name].items()}
        counts = []
        answers = []
        for _ in range(3):
            before = counted(viewer.home)
            answers.append(await viewer.get(**asked))
            await viewer.home.until_inside(0)
            after = counted(viewer.home)
            counts.append({key: after[key] - before.get(key, 0) for key in after})
        entered = viewer.home.door.entered
        assert lasting(answers[0]) == lasting(answers[1]) == lasting(answers[2])
        assert counts[0] == counts[1] == counts[2]
        assert entered == 3, "the two requests before, and the first of three"
        assert answers[2].count(b"\r\ndate: ") == answers[2].count(b"\r\nserver-timing: ") == 1


def counted(home: House) -> dict[Any, float]:
    """All counts of responses."""
    names = ("frame_answers_total", "served_bytes_total", "_delivery_seconds_count")
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for metric in home.app.telemetry.metrics.registry.collect()
        for sample in metric.samples
        if sample.name.endswith(names)
    }


async def test_each_line_of_the_log_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "proxy.viewers.frames")
    trace = ASKED["traced"]["traceparent"]
    async with holding(log={"uids": True}) as viewer:
        for _ in range(3):
            await viewer.get(range="bytes=0-65535", traceparent=trace)
            await viewer.home.until_inside(0)
        assert viewer.home.door.entered == 2
        lines = [vars(record) for record in caplog.records if record.getMessage() == "frame"][1:]
    names = ("origin", "profile", "status", "cache", "bytes", "final_ms", "traceparent", "resource")
    first, *others = [{name: each[name] for name in names} for each in lines]
    assert (first["bytes"], first["traceparent"], first["resource"]) == (65536, trace, FRAME[1:])
    assert others == [first, first]
    assert all(isinstance(each["first_ms"], float) for each in lines)


UNUSUAL: dict[str, tuple[str, ...]] = {
    "the last of its connection": ("connection: close",),
    "a body": ("content-length: 3", "", "abc"),
    "an empty body": ("transfer-encoding: chunked", "", "0", "", ""),
    "an expectation": ("expect: 100-continue",),
    "another protocol": ("connection: upgrade", "upgrade: foo"),
    "a long head": (f"x-long: {'x' * LONGEST}",),
}


@pytest.mark.parametrize("name", UNUSUAL)
async def test_an_unusual_request_goes_to_the_app_each_time(name: str) -> None:
    async with holding() as held:
        before = held.home.door.entered
        for number in range(1, 4):
            async with line(held.home) as viewer:
                more = "\r\n".join(UNUSUAL[name])
                head = head_of(held.home, FRAME)[:-2] + more.encode()
                viewer.writer.write(head if "" in UNUSUAL[name] else head + b"\r\n\r\n")
                assert (await viewer.answer()).endswith(BODY)
                assert held.home.door.entered == before + number


async def test_a_request_in_pieces_or_before_another_goes_to_the_app() -> None:
    async with holding() as viewer:
        head = head_of(viewer.home, FRAME, range="bytes=0-99")
        assert [await viewer.skips(range="bytes=0-99") for _ in range(2)] == [False, True]
        for pieces in (
            (head[:20], head[20:]),
            (head[:-2], head[-2:]),
            (head + head,),
            (head + head[:9], head[9:]),
        ):
            before, requests = viewer.home.door.entered, b"".join(pieces).count(b"GET")
            for piece in pieces:
                await viewer.send(piece)
            for _ in range(requests):
                assert (await viewer.answer()).endswith(BODY[:100])
            assert viewer.home.door.entered == before + requests
        assert await viewer.skips(range="bytes=0-99")


async def test_an_empty_line_before_a_request_makes_it_another_one() -> None:
    async with holding() as viewer:
        assert [await viewer.skips() for _ in range(2)] == [False, True]
        await viewer.send(b"\r\n")
        assert not await viewer.skips()


async def test_an_answer_waits_until_the_one_before_is_taken() -> None:
    body = codestream(1_000_000)
    async with house(ScriptedOrigin({FRAME: body})) as home:
        await home.viewer.get(FRAME, headers={"accept": "image/jphc"})
        await home.until_idle()
        async with line(home) as viewer:
            assert [await viewer.skips() for _ in range(2)] == [False, True]
            head, before = head_of(home, FRAME), home.door.entered
            for _ in range(40):  # more than the kernel takes
                viewer.writer.write(head)
                await viewer.writer.drain()
                await asyncio.sleep(0)
            await home.until(lambda: home.door.entered > before)
            assert all([(await viewer.answer()).endswith(body) for _ in range(40)])


async def test_a_frame_that_has_left_the_cache_is_fetched_anew() -> None:
    async with holding() as viewer:
        assert [await viewer.skips() for _ in range(2)] == [False, True]
        await viewer.home.admin.delete(f"/cache{FRAME.partition('/series')[0]}")
        asked = len(viewer.home.origin.frame_requests)
        assert b"fwd=miss" in await viewer.get()
        await viewer.home.until_idle()
        assert len(viewer.home.origin.frame_requests) > asked
        assert [await viewer.skips() for _ in range(2)] == [False, True]


async def test_another_version_is_another_answer() -> None:
    async with holding() as viewer:
        before = [await viewer.get(range="bytes=0-99") for _ in range(2)][1]
        viewer.home.origin.frames[FRAME] = other = codestream(300_000, seed=9)
        await viewer.home.admin.delete(f"/cache{FRAME.partition('/series')[0]}")
        answers = [await viewer.get(range="bytes=0-99") for _ in range(3)]
        await viewer.home.until_idle()
        assert all(answer.endswith(other[:100]) for answer in answers)
        assert ETAG.findall(answers[2]) != ETAG.findall(before)


async def test_a_frame_whose_lease_has_ended_is_asked_for() -> None:
    async with holding() as viewer:
        assert [await viewer.skips() for _ in range(2)] == [False, True]
        kept: Any = viewer.home.app.fills._store
        now = kept._clock() + kept._lifetimes.fresh
        kept._clock = kept._uses._clock = lambda: now
        assert not await viewer.skips()


async def test_a_hit_counts_as_use() -> None:
    """The frame that is repeated outlives one that was requested after it."""
    bodies = [codestream(400_000, seed=number) for number in range(3)]
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin, cache={"bytes": "1MiB"}) as home, line(home) as viewer:
        for number in (0, 1):
            await viewer.get(frame_of(number))
            await home.until_idle()
        await viewer.get(frame_of(1), range="bytes=0-9")
        assert [await viewer.skips(path=frame_of(0)) for _ in range(2)] == [False, True]
        await viewer.get(frame_of(1))
        assert await viewer.skips(path=frame_of(0))
        await viewer.get(frame_of(2))
        await home.until_idle()
        assert b"; hit" in await viewer.get(frame_of(0))
        assert b"; hit" not in await viewer.get(frame_of(1))


async def test_changed_profiles_are_chosen_by_the_app() -> None:
    async with holding() as viewer:
        assert [await viewer.skips() for _ in range(2)] == [False, True]
        chosen: CurrentChoice = viewer.home.app.chosen
        chosen.now = viewer.home.app.settings.choice()
        assert [await viewer.skips() for _ in range(2)] == [False, True]


async def test_a_request_that_starts_a_plan_goes_to_the_app() -> None:
    bodies = [codestream(60_000, seed=number) for number in range(4)]
    profiles = {"ahead": {"prefetch": {"trigger": "first-frame"}}}
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin, profiles=profiles, profile="ahead") as home, line(home) as viewer:
        await viewer.get(HELD)
        await home.until(lambda: len(origin.frame_requests) >= 4)
        await home.until_idle()
        assert [await viewer.skips(path=HELD) for _ in range(2)] == [False, True]
        home.app.plans._set_off.clear()
        assert not await viewer.skips(path=HELD)
        await home.until(lambda: len(home.app.plans._set_off) == 1)
        assert await viewer.skips(path=HELD)


async def test_a_window_moves_with_each_request() -> None:
    bodies = [codestream(60_000, seed=number) for number in range(12)]
    profiles = {"near": {"prefetch": {"trigger": "first-frame", "window": 1}}}
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin, profiles=profiles, profile="near") as home, line(home) as viewer:
        assert [await viewer.skips(path=HELD) for _ in range(4)] == [False] * 4


async def test_with_an_audit_each_request_is_audited(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with holding(audit={"file": str(file)}) as viewer:
        assert [await viewer.skips() for _ in range(3)] == [False] * 3
    assert len(file.read_text().splitlines()) == 4


async def test_the_table_has_bounds() -> None:
    async with holding() as viewer:
        repeats, ledger = viewer.home.app.repeats, viewer.home.app.fills._store.ledger
        assert repeats is not None
        repeats._kept._most, before = 8, ledger.size
        for number in range(20):
            await viewer.get(range=f"bytes=0-{number}")
        assert len(repeats) == 8
        assert 8 * 1000 < ledger.size - before < 8 * 4000
        assert not await viewer.skips(range="bytes=0-0")
        assert await viewer.skips(range="bytes=0-19")


async def test_a_connection_with_repeated_requests_is_not_idle() -> None:
    async with holding() as viewer:
        assert [await viewer.skips() for _ in range(2)] == [False, True]
        idle: list[Any] = list(viewer.home.app.connections._idle)
        connection = idle[-1].close.__self__
        connection.timeout_keep_alive_handler()
        assert await viewer.skips()
        connection._heard -= connection.timeout_keep_alive
        connection.timeout_keep_alive_handler()
        assert await viewer.reader.read() == b""


# Callers


def proof(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who}"}


@asynccontextmanager
async def read_by_anne(**settings: Any) -> AsyncIterator[tuple[Guarded, GuardedOrigin, Line]]:
    """Anne has read a frame, so that her next request for it needs no app."""
    origin = GuardedOrigin("anne", "bob")
    async with guarded(origin, **settings) as at, line(at.home) as viewer:
        await viewer.get(HELD, **proof("anne"))
        await at.home.until_idle()
        assert [await viewer.skips(path=HELD, **proof("anne")) for _ in range(2)] == [False, True]
        yield at, origin, viewer


@pytest.mark.parametrize("policy", ["ask-origin", "credential"])
async def test_a_stranger_gets_nothing_by_anothers_request(policy: str) -> None:
    async with read_by_anne(access={"policy": policy}) as (_, _, viewer):
        for headers in (proof("eve"), proof("ann"), proof("anne") | {"cookie": "x=1"}, proof("Anne")):
            if headers != proof("anne") | {"cookie": "x=1"}:
                assert (await viewer.get(HELD, **headers)).startswith(b"HTTP/1.1 403")
            else:
                assert not await viewer.skips(path=HELD, **headers)
        assert await viewer.skips(path=HELD, **proof("anne"))


async def test_a_caller_whose_yes_has_ended_gets_nothing() -> None:
    async with read_by_anne() as (at, origin, viewer):
        origin.readers.remove("anne")
        at.now += at.home.app.settings.access.ttl
        assert (await viewer.get(HELD, **proof("anne"))).startswith(b"HTTP/1.1 403")
        assert (await viewer.get(HELD, **proof("anne"))).startswith(b"HTTP/1.1 403")


async def test_a_refusal_of_another_frame_ends_the_yes() -> None:
    async with read_by_anne() as (_, origin, viewer):
        origin.readers.remove("anne")
        assert (await viewer.get(frame_of(1), **proof("anne"))).startswith(b"HTTP/1.1 403")
        assert (await viewer.get(HELD, **proof("anne"))).startswith(b"HTTP/1.1 403")


async def test_a_yes_is_renewed_in_time() -> None:
    async with read_by_anne() as (at, _, viewer):
        at.now += at.home.app.settings.access.ttl * 0.9
        assert not await viewer.skips(path=HELD, **proof("anne"))
        await at.home.until(lambda: at.probes() == 1)
        assert await viewer.skips(path=HELD, **proof("anne"))


async def test_a_purge_ends_the_yes() -> None:
    async with read_by_anne() as (at, origin, viewer):
        await at.home.admin.delete(f"/cache{HELD.partition('/series')[0]}")
        origin.readers.remove("anne")
        assert (await viewer.get(HELD, **proof("anne"))).startswith(b"HTTP/1.1 403")


async def test_a_yes_that_counts_once_answers_nothing_else() -> None:
    origin = GuardedOrigin("anne")
    async with guarded(origin, access={"ttl": 0}) as at, line(at.home) as viewer:
        await viewer.get(HELD, **proof("anne"))
        await at.home.until_idle()
        assert [await viewer.skips(path=HELD, **proof("anne")) for _ in range(3)] == [False] * 3


async def test_a_caller_who_sees_another_version_does_not_get_the_first() -> None:
    """Bob's probe shows other bytes than Anne's frame, so he gets a partition of his own."""
    async with read_by_anne() as (at, origin, viewer):
        other = codestream(60_000, seed=99)

        def then(asked: Asked) -> Reply | None:
            is_bobs = asked.headers.get("authorization") == "Bearer bob" and "/frames/" in asked.path
            return Reply(200, {"content-type": "image/jphc"}, (other,)) if is_bobs else None

        origin.then = then
        answers = [await viewer.get(HELD, **proof("bob")) for _ in range(4)]
        await at.home.until_idle()
        assert all(answer.endswith(other) for answer in answers)
        assert (await viewer.get(HELD, **proof("anne"))).endswith(BODIES[0])


async def test_a_token_that_expires_gets_nothing() -> None:
    issuer = Issuer()
    async with verifying(Trusting(), issuer) as at, line(at.home) as viewer:
        token = issuer.token()
        await viewer.get(HELD, **proof(token))
        await at.home.until_idle()
        assert [await viewer.skips(path=HELD, **proof(token)) for _ in range(2)] == [False, True]
        verifier = verifier_of(at)
        later = verifier._clock() + HOUR + 11
        verifier._clock = lambda: later
        assert (await viewer.get(HELD, **proof(token))).startswith(b"HTTP/1.1 401")


async def test_a_token_whose_key_is_withdrawn_gets_nothing() -> None:
    issuer = Issuer()
    async with verifying(Trusting(), issuer) as at, line(at.home) as viewer:
        token = issuer.token()
        await viewer.get(HELD, **proof(token))
        await at.home.until_idle()
        assert [await viewer.skips(path=HELD, **proof(token)) for _ in range(2)] == [False, True]
        issuer.turn("second")
        keys = keys_of(at)
        keys._fetched_from = keys._due = 0.0  # ten minutes later
        assert not await viewer.skips(path=HELD, **proof(token))
        await at.home.until(lambda: len(issuer.asked) == 2 and keys._fetching is None)
        assert (await viewer.get(HELD, **proof(token))).startswith(b"HTTP/1.1 401")


async def test_an_authorizer_is_asked_in_time() -> None:
    authorizer = Authorizer("anne")
    async with behind(authorizer) as at, line(at.home) as viewer:
        await viewer.get(HELD, **proof("anne"))
        await at.home.until_idle()
        assert [await viewer.skips(path=HELD, **proof("anne")) for _ in range(2)] == [False, True]
        at.now += at.home.app.settings.access.ttl * 0.9
        authorizer.readers.clear()
        assert not await viewer.skips(path=HELD, **proof("anne"))
        deciding = at.home.app.access._authorizer
        assert deciding is not None
        await at.home.until(lambda: len(authorizer.asked) == 2 and not deciding._asking)
        assert (await viewer.get(HELD, **proof("anne"))).startswith(b"HTTP/1.1 401")

"""A stale frame stands in for an origin that is away (RFC 5861 4), for those who may still read it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from proxy.access.caller import Caller
from proxy.frame.key import FrameKey
from proxy.wire.resource import parse_frame_path
from tests.guarded_origin import Guarded, who_asks
from tests.house import House, cache_did, house
from tests.scripted_origin import (
    FRAME,
    HANG_UP,
    SERIES,
    Asked,
    Reply,
    ScriptedOrigin,
    _read,
    _write,
    codestream,
    etag_of,
    frame_of,
    honest,
)
from tests.stories.test_alternates import PLAIN as UNCOMPRESSED
from tests.stories.test_alternates import uncompressed
from tests.stories.test_forward_auth import Authorizer, behind
from tests.tiers import FakeTier

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}
BODY, NEW = (codestream(200_000, seed) for seed in (1, 2))
STOOD_IN = re.compile(r"fwd=stale; ttl=-[0-9]+; detail=stale-if-error")
STUDY = SERIES.partition("/series")[0]
Fault = Callable[[Asked], Reply | None]


class Failing(ScriptedOrigin):
    """An origin whose frame is stale at once, and which fails when a story says so."""

    def __init__(self, said: str = "max-age=0", **headers: str) -> None:
        super().__init__(script=self._answer)
        self.headers = {"cache-control": said, **headers} if said else headers
        self.body, self.etag = BODY, etag_of(BODY)
        self.fault: Fault | None = None
        self.is_mute = False
        """True if it closes the connection instead of answering."""
        self.readers: set[str] | None = None
        """The callers that it lets read; None is all."""

    def _answer(self, asked: Asked) -> Reply | None:
        if asked.method == "DELETE":
            return Reply(204, {})
        if "/frames/" not in asked.path:
            return None
        if self.readers is not None and who_asks(asked) not in self.readers:
            return Reply(403, {})
        return self.answer(asked) if self.fault is None else self.fault(asked)

    def answer(self, asked: Asked) -> Reply:
        """What it says when it is well."""
        if self.etag and asked.headers.get("if-none-match") == self.etag:
            return Reply(304, {"etag": self.etag} | self.headers)
        reply = honest(self.body, asked, etag=self.etag)
        return Reply(reply.status, reply.headers | self.headers, reply.pieces)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (asked := await _read(reader)) is not None:
                self.note(asked)
                if self.door is not None:
                    await self.door.wait()
                if self.is_mute or not await _write(writer, asked, self._reply(asked)):
                    break
        writer.close()


def failing(status: int, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, named, (b"no",))


def hanging_up(origin: Failing, etag: str, *, after: int = 0) -> Fault:
    """Breaks off so many bytes into the body of a version."""

    def fault(asked: Asked) -> Reply:
        plain = Asked(asked.method, asked.path, {k: v for k, v in asked.headers.items() if k == "range"})
        reply = honest(origin.body, plain, etag=etag)
        body = reply.pieces[-1]
        assert isinstance(body, bytes)
        return Reply(
            reply.status, reply.headers | {"content-length": str(len(body))}, (body[:after], HANG_UP)
        )

    return fault


async def ask(home: House, who: str = "", path: str = FRAME, **headers: str) -> httpx.Response:
    proof = {"authorization": f"Bearer {who}"} if who else {}
    answer = await home.viewer.get(path, headers=SINGLE | proof | headers)
    await home.until_idle()
    return answer


def stands_in(answer: httpx.Response) -> bool:
    """True if a stale frame was sent, and if the response says so."""
    is_said = STOOD_IN.fullmatch(cache_did(answer)) is not None
    assert is_said == ("age" in answer.headers)
    assert "warning" not in answer.headers
    return is_said and answer.status_code < 400


def later(home: House, seconds: float) -> None:
    """Lets this much time pass for the frames that are held."""
    memory = home.app.fills._store
    if home.app.tiered is not None:
        memory = home.app.tiered._memory
    memory._clock = memory._uses._clock = lambda: monotonic() + seconds  # type: ignore[attr-defined]


async def counted(home: House) -> float:
    await home.until_inside(0)  # a response is counted once it is over
    return home.metric("stale_answers_total", origin="pacs")


@asynccontextmanager
async def held(origin: Failing, who: str = "", /, **settings: Any) -> AsyncIterator[House]:
    """A house that holds the frame of an origin, which is well; somebody has read it."""
    async with house(origin, **settings) as home:
        assert (await ask(home, who)).content == origin.body
        yield home


STATUSES = (500, 501, 502, 503, 504, 599)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("etag", ["a validator", ""])
async def test_a_status_of_failure_is_replaced_by_the_frame_that_is_held(status: int, etag: str) -> None:
    origin = Failing()
    origin.etag = origin.etag if etag else ""
    async with held(origin) as home:
        origin.fault = failing(status)
        before = origin.requests_of(FRAME)
        answer = await ask(home)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert stands_in(answer)
        assert origin.requests_of(FRAME) > before
        assert await counted(home) == 1
        assert home.metric("frame_answers_total", status="200", cache="stale") == 1


async def test_no_connection_is_replaced() -> None:
    origin = Failing()
    async with held(origin) as home:
        await origin.stop()
        answer = await ask(home)
        assert stands_in(answer)
        assert answer.content == BODY


async def test_a_connection_that_is_closed_without_an_answer_is_replaced() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.is_mute = True
        answer = await ask(home)
        assert stands_in(answer)
        assert answer.content == BODY


async def test_silence_is_replaced() -> None:
    origin = Failing()
    async with held(origin) as home:
        transport: Any = home.app.origins["pacs"]._exchange._transport
        transport._limits = replace(transport._limits, first_byte=0.01)
        origin.door = asyncio.Event()
        answer = await ask(home)
        assert stands_in(answer)
        assert answer.content == BODY
        origin.door.set()


@pytest.mark.parametrize("after", [0, 1000])
async def test_a_body_that_breaks_off_before_the_first_byte_is_sent_is_replaced(after: int) -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = hanging_up(origin, origin.etag, after=after)
        answer = await ask(home)
        assert stands_in(answer)
        assert answer.content == BODY


async def test_a_version_that_the_origin_has_replaced_does_not_come_back() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.body = NEW
        origin.fault = hanging_up(origin, etag_of(NEW))
        assert (await ask(home)).status_code == 502
        assert await counted(home) == 0


async def test_a_response_that_has_begun_is_cut_as_before() -> None:
    origin = Failing()
    origin.etag = ""
    async with held(origin) as home:
        origin.fault = hanging_up(origin, "", after=65_000)
        with pytest.raises(httpx.TransportError):
            await ask(home)
        assert await counted(home) == 0


ANSWERS = {
    "429": (failing(429), 429),
    "400": (failing(400), 400),
    "401": (failing(401), 401),
    "403": (failing(403), 403),
    "404": (failing(404), 404),
    "410": (failing(410), 410),
    "a loop": (failing(508), 508),
    "a page to log in": (failing(200, content_type="image/jphc"), 502),
    "a redirect elsewhere": (failing(302, location="https://login.example/"), 302),
}


@pytest.mark.parametrize(("fault", "status"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_of_the_origin_is_never_replaced(fault: Fault, status: int) -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = fault
        answer = await ask(home)
        assert (answer.status_code, stands_in(answer)) == (status, False)
        assert await counted(home) == 0


@pytest.mark.parametrize("status", [401, 403])
async def test_a_frame_that_the_origin_took_back_does_not_return_when_it_is_away(status: int) -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = failing(status)
        assert (await ask(home)).status_code == status
        origin.fault = failing(500)
        assert (await ask(home)).status_code == 502


SAID = {  # Cache-Control: may a stale frame be sent to callers without a credential, and to one with it?
    "max-age=0": (True, True),
    "max-age=0, stale-if-error=600": (True, True),
    "max-age=0, stale-if-error=600, stale-if-error=0": (False, False),
    "max-age=0, stale-if-error=0": (False, False),
    "max-age=0, stale-if-error=soon": (False, False),
    "max-age=0, must-revalidate": (False, False),
    "max-age=0, Must-Revalidate, stale-if-error=600": (False, False),
    "max-age=0, proxy-revalidate": (False, False),
    "max-age=0, s-maxage=0": (False, False),
    "no-cache": (False, False),
    "no-cache, stale-if-error=600": (False, False),
    "no-store": (False, False),
    "private, max-age=0": (False, True),
}


@pytest.mark.parametrize(("said", "may"), SAID.items(), ids=SAID)
@pytest.mark.parametrize("who", ["", "a"], ids=["no credential", "a credential"])
async def test_the_origin_may_forbid_it(said: str, may: tuple[bool, bool], who: str) -> None:
    origin = Failing(said)
    async with held(origin, who) as home:
        origin.fault = failing(500)
        answer = await ask(home, who)
        assert stands_in(answer) == may[bool(who)]
        assert answer.status_code == (200 if may[bool(who)] else 502)


@pytest.mark.parametrize(("headers", "may"), [({"expires": "0"}, True), ({"vary": "*"}, False)], ids=str)
async def test_expires_and_vary_count_too(headers: dict[str, str], may: bool) -> None:
    origin = Failing("", **headers)
    async with held(origin) as home:
        origin.fault = failing(500)
        assert stands_in(await ask(home)) == may


async def test_an_origin_that_is_trusted_not_to_change_forbids_nothing() -> None:
    origin = Failing("no-cache, must-revalidate")
    async with held(origin, origin={"trust": "dicom"}, cache={"ttl": 60}) as home:
        origin.fault = failing(500)
        later(home, 100)
        assert stands_in(await ask(home))


TIMES = {  # Cache-Control, `cache.stale`, seconds later: is it sent?
    "within the hour": ("max-age=0", 3600, 3000, True),
    "after the hour": ("max-age=0", 3600, 3700, False),
    "within stale-if-error": ("max-age=0, stale-if-error=900", 3600, 300, True),
    "after stale-if-error": ("max-age=0, stale-if-error=900", 3600, 1000, False),
    "after cache.stale, within stale-if-error": ("max-age=0, stale-if-error=9000", 3600, 3700, False),
    "counted from the lease's end": ("max-age=3000", 3600, 6000, True),
    "after both": ("max-age=3000", 3600, 6700, False),
    "off": ("max-age=0", 0, 1, False),
}


@pytest.mark.parametrize(("said", "stale", "seconds", "may"), TIMES.values(), ids=TIMES)
async def test_it_ends(said: str, stale: float, seconds: float, may: bool) -> None:
    origin = Failing(said)
    async with held(origin, cache={"stale": stale}) as home:
        origin.fault = failing(500)
        later(home, seconds)
        answer = await ask(home)
        assert stands_in(answer) == may
        if may:
            lease = 3000 if "3000" in said else 0
            assert int(answer.headers["age"]) >= seconds
            (ended,) = re.findall(r"ttl=-([0-9]+)", cache_did(answer))
            assert int(ended) >= seconds - lease


async def test_an_origin_that_is_well_is_asked_and_believed() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = failing(500)
        assert stands_in(await ask(home))
        origin.fault, origin.body, origin.etag = None, NEW, etag_of(NEW)
        answer = await ask(home)
        assert (answer.content, stands_in(answer)) == (NEW, False)


async def test_each_request_tries_the_origin_also_an_exact_repeat() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = failing(500)
        for number in range(1, 4):
            before = origin.requests_of(FRAME)
            assert stands_in(await ask(home))
            assert origin.requests_of(FRAME) > before
            assert await counted(home) == number


async def test_an_origin_that_rests_is_replaced_without_a_request() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.script = failing(502)
        while not home.app.origins["pacs"].health.is_resting:
            assert stands_in(await ask(home))
        home.app.origins["pacs"].health._clock = lambda: 0.0
        before = len(origin.asked)
        assert stands_in(await ask(home))
        assert len(origin.asked) == before


RANGES = {
    "first": ("bytes=0-65535", BODY[:65536]),
    "rest": ("bytes=65536-", BODY[65536:]),
    "middle": ("bytes=70000-70009", BODY[70000:70010]),
    "suffix": ("bytes=-100", BODY[-100:]),
}


@pytest.mark.parametrize(("wanted", "part"), RANGES.values(), ids=RANGES)
async def test_a_range_is_cut_from_it(wanted: str, part: bytes) -> None:
    origin = Failing()
    async with held(origin) as home:
        whole = await ask(home)
        origin.fault = failing(500)
        answer = await ask(home, range=wanted)
        assert (answer.status_code, answer.content) == (206, part)
        assert stands_in(answer)
        assert answer.headers["etag"] == whole.headers["etag"]
        guarded = await ask(home, range=wanted, **{"if-range": whole.headers["etag"]})
        assert (guarded.status_code, guarded.content) == (206, part)


async def test_a_multipart_response_is_the_same_as_a_fresh_one() -> None:
    origin = Failing()
    multipart = {"accept": 'multipart/related; type="image/jphc"'}
    async with held(origin) as home:
        fresh = await home.viewer.get(FRAME, headers=multipart)
        await home.until_idle()
        origin.fault = failing(500)
        answer = await home.viewer.get(FRAME, headers=multipart)
        assert stands_in(answer)
        assert answer.content == fresh.content
        part = await home.viewer.get(FRAME, headers=multipart | {"range": "bytes=10-199999"})
        assert stands_in(part)
        assert part.content == fresh.content[10:200_000]


async def test_conditions_are_answered_as_by_a_fresh_one() -> None:
    origin = Failing()
    async with held(origin) as home:
        etag = (await ask(home)).headers["etag"]
        origin.fault = failing(500)
        same = await ask(home, **{"if-none-match": etag})
        assert (same.status_code, same.content) == (304, b"")
        assert stands_in(same)
        assert (await ask(home, **{"if-match": etag})).status_code == 200
        assert (await ask(home, **{"if-match": '"another"'})).status_code == 412
        other = await ask(home, range="bytes=65536-", **{"if-range": '"another"'})
        assert (other.status_code, other.content) == (416, b"")
        head = await home.viewer.head(FRAME, headers=SINGLE)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(BODY)))
        assert stands_in(head)


async def test_a_prefix_stands_in_for_what_it_covers() -> None:
    origin = Failing()
    async with house(origin, **LAZY) as home:
        assert (await ask(home, range="bytes=0-65535")).content == BODY[:65536]
        origin.fault = failing(500)
        for wanted in ("bytes=0-65535", "bytes=100-199"):
            assert stands_in(await ask(home, range=wanted))
        for wanted in ("bytes=65536-", "bytes=0-65536", "bytes=-1"):
            assert (await ask(home, range=wanted)).status_code == 502
        assert (await ask(home)).status_code == 502


async def test_several_who_wait_for_one_fetch_all_get_it() -> None:
    origin, barrier = Failing(), asyncio.Event()
    async with held(origin) as home:
        origin.fault = failing(500)
        before = origin.requests_of(FRAME)
        assert stands_in(await ask(home))
        cost = origin.requests_of(FRAME) - before
        origin.door = barrier
        asking = [asyncio.create_task(home.viewer.get(FRAME, headers=each)) for each in (SINGLE, FIRST, REST)]
        await home.until_inside(3)
        barrier.set()
        whole, first, rest = await asyncio.gather(*asking)
        assert [answer.content for answer in (whole, first, rest)] == [BODY, BODY[:65536], BODY[65536:]]
        assert all(map(stands_in, (whole, first, rest)))
        assert origin.requests_of(FRAME) == before + 2 * cost
        assert await counted(home) == 4


async def test_a_purge_ends_it() -> None:
    origin = Failing()
    async with held(origin) as home:
        assert (await home.viewer.delete(STUDY)).status_code == 204
        origin.fault = failing(500)
        assert (await ask(home)).status_code == 502


async def test_a_frame_in_doubt_is_not_sent() -> None:
    origin = Failing()
    async with held(origin, tiers=[FakeTier()]) as home:
        origin.fault = failing(500)
        assert stands_in(await ask(home))
        assert home.app.tiered is not None
        home.app.tiered.doubt()  # another replica may have said that the frame changed
        assert (await ask(home)).status_code == 502


async def test_a_list_gets_the_error_as_before() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = failing(500)
        listed = await home.viewer.get(f"{FRAME},1", headers={"accept": "multipart/related"})
        assert listed.status_code == 502


# Who may read


@asynccontextmanager
async def read_by(origin: Failing, *callers: str, **settings: Any) -> AsyncIterator[Guarded]:
    """A house in which these callers have read the frame, and which has a clock for what they may."""
    origin.readers = set(callers)
    async with house(origin, **settings) as home:
        at = Guarded(home)
        for who in (*callers, *callers):  # the first is compared once there are others
            assert (await ask(home, who)).content == BODY
        yield at


async def test_whoever_may_read_gets_it_while_a_yes_counts() -> None:
    origin = Failing("max-age=60")
    async with read_by(origin, "a", "b") as at:
        later(at.home, 100)
        origin.fault = failing(500)
        for who in ("a", "b"):
            assert stands_in(await ask(at.home, who))
        at.now += 61
        for who in ("a", "b"):
            assert (await ask(at.home, who)).status_code == 502


async def test_a_caller_without_a_yes_gets_the_error_of_the_origin() -> None:
    origin = Failing()
    async with read_by(origin, "a") as at:
        origin.readers = None
        origin.fault = failing(503, retry_after="7")
        for who in ("b", ""):
            answer = await ask(at.home, who)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert stands_in(await ask(at.home, "a"))


async def test_of_two_who_wait_for_one_fetch_only_the_one_with_a_yes_gets_it() -> None:
    origin, barrier = Failing(), asyncio.Event()
    async with read_by(origin, "a") as at:
        origin.readers, origin.door = None, barrier
        origin.fault = failing(500)
        asking = [asyncio.create_task(ask(at.home, who)) for who in ("a", "b")]
        await at.home.until_inside(2)
        barrier.set()
        may, may_not = await asyncio.gather(*asking)
        assert (may.content, may_not.status_code) == (BODY, 502)


async def test_a_revoked_caller_gets_nothing() -> None:
    origin = Failing("max-age=60")
    async with read_by(origin, "a", "b") as at:
        later(at.home, 100)
        assert origin.readers is not None
        origin.readers.remove("b")
        assert (await ask(at.home, "b")).status_code == 403
        origin.readers, origin.fault = None, failing(500)
        at.home.app.proofs.refused_for = 0
        at.now += 10  # the refusal itself is not repeated any more
        assert (await ask(at.home, "b")).status_code == 502
        assert stands_in(await ask(at.home, "a"))


async def test_a_copy_that_was_never_compared_may_be_of_the_other_caller_and_is_not_sent() -> None:
    origin = Failing("max-age=0")  # each request is a fetch of its own, and a fetch compares nothing
    async with read_by(origin, "a", "b") as at:
        origin.fault = failing(500)
        for who in ("a", "b"):
            assert (await ask(at.home, who)).status_code == 502


async def test_without_a_time_to_live_no_yes_counts() -> None:
    origin = Failing()
    async with read_by(origin, "a", access={"ttl": 0}) as at:
        origin.fault = failing(500)
        assert (await ask(at.home, "a")).status_code == 502


async def test_a_yes_for_one_study_is_none_for_another() -> None:
    origin = Failing()
    other = FRAME.replace(STUDY, STUDY + "9")
    async with read_by(origin, "a", "b") as at:
        assert (await ask(at.home, "a", other)).content == BODY
        origin.fault = failing(500)
        assert stands_in(await ask(at.home, "a", other))
        assert (await ask(at.home, "b", other)).status_code == 502


async def test_a_copy_of_one_credential_is_never_sent() -> None:
    origin = Failing()
    async with read_by(origin, "a", "", access="credential") as at:
        origin.fault = failing(500)
        assert (await ask(at.home, "a")).status_code == 502
        assert stands_in(await ask(at.home))


async def test_an_origin_without_users_is_replaced_for_everybody() -> None:
    origin = Failing()
    async with held(origin, "a", access="shared") as home:
        origin.fault = failing(500)
        assert stands_in(await ask(home, "b"))


async def test_an_origin_that_knows_only_the_proxy_is_replaced_for_everybody(tmp_path: Path) -> None:
    token = tmp_path / "token"
    await asyncio.to_thread(token.write_text, "ours")
    origin = Failing()
    async with held(origin, "a", origin={"credentials": {"bearer_file": str(token)}}) as home:
        origin.fault = failing(500)
        assert stands_in(await ask(home, "b"))
        origin.fault = failing(401)
        assert (await ask(home, "b")).status_code == 502  # it refuses the proxy
        origin.fault = failing(500)
        assert (await ask(home, "b")).status_code == 502


async def test_an_authorizer_has_to_let_the_caller_in_as_always() -> None:
    origin = Failing()
    async with behind(Authorizer("a"), origin) as at:
        assert (await ask(at.home, "a")).content == BODY
        origin.fault = failing(500)
        for _ in range(2):
            assert stands_in(await ask(at.home, "a"))
            at.now += 50  # its yes is due to be renewed
        assert (await ask(at.home, "b")).status_code == 401


async def test_a_token_that_expired_meanwhile_does_not_count() -> None:
    async with held(Failing()) as home:
        permits, key = home.app._permits, FrameKey("pacs", b"", parse_frame_path(FRAME[1:]))
        caller = Caller("pacs", (), b"")
        assert permits.may_read_stale(caller, key)
        assert not permits.may_read_stale(replace(caller, until=1.0), key)


async def test_an_alternate_that_is_held_stands_in_too() -> None:
    is_away = False

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path.partition("?")[0])
        if body is None:
            return None
        reply = Reply(500, {}) if is_away else honest(body, asked, label=UNCOMPRESSED)
        return Reply(reply.status, reply.headers | {"cache-control": "max-age=0"}, reply.pieces)

    origin = uncompressed(script=script)
    async with house(origin, alternates={"jls": {"path": "/jls/", "codec": "jpegls"}}) as home:
        path = frame_of(0).replace("/frames/", "/jls/")
        made = await ask(home, path=path, accept="*/*")
        assert made.status_code == 200
        is_away = True
        answer = await ask(home, path=path, accept="*/*")
        assert stands_in(answer)
        assert answer.content == made.content


# After a restart


async def test_a_tier_brings_it_back_after_a_restart() -> None:
    origin, tier = Failing(), FakeTier()
    async with held(origin, tiers=[tier]) as home:
        await home.until_written()
    origin.fault = failing(500)
    async with house(origin, tiers=[tier]) as home:
        answer = await ask(home)
        assert stands_in(answer)
        assert answer.content == BODY
        later(home, 3700)
        assert (await ask(home)).status_code == 502


BIG = codestream(600_000)


@asynccontextmanager
async def restarted(origin: Failing, tier: FakeTier) -> AsyncIterator[House]:
    """A house whose memory is empty, and whose tier has all of a large frame. The origin is away."""
    origin.body, origin.etag = BIG, etag_of(BIG)
    async with held(origin, tiers=[tier]) as home:
        await home.until_written()
    origin.fault = failing(500)
    async with house(origin, tiers=[tier]) as home:
        yield home


async def test_a_tier_has_the_rest_of_a_large_frame() -> None:
    tier = FakeTier()
    async with restarted(Failing(), tier) as home:
        first = await ask(home, range="bytes=0-65535")
        assert (first.content, stands_in(first), tier.asked["rest"]) == (BIG[:65536], True, 0)
        for wanted, part in (({}, BIG), ({"range": "bytes=65536-"}, BIG[65536:])):
            answer = await ask(home, **wanted)
            assert answer.content == part
            assert stands_in(answer)
        assert tier.asked["rest"] == 1


async def test_a_tier_that_lacks_some_of_it_gives_the_error_and_no_half_frame() -> None:
    tier = FakeTier()
    async with restarted(Failing(), tier) as home:
        tier.pieces = 3
        answer = await ask(home)
        assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")
        assert stands_in(await ask(home, range="bytes=0-65535"))


async def test_a_purge_while_a_tier_is_read_ends_it() -> None:
    tier = FakeTier()
    async with restarted(Failing(), tier) as home:
        assert stands_in(await ask(home, range="bytes=0-65535"))
        tier.barrier = asyncio.Event()
        before = tier.asked["rest"]
        asking = asyncio.create_task(ask(home))
        await home.until(lambda: tier.asked["rest"] > before)
        assert (await home.viewer.delete(STUDY)).status_code == 204
        tier.barrier.set()
        assert (await asking).status_code == 502
        await home.until_written()
        assert (await ask(home, range="bytes=0-65535")).status_code == 502


async def test_a_yes_that_ends_while_a_tier_is_read_does_not_count() -> None:
    origin, tier = Failing(), FakeTier()
    async with read_by(origin, "a", tiers=[tier]) as at:
        await at.home.until_written()
        assert at.home.app.tiered is not None
        rests = at.home.app.tiered._memory._rests
        del rests[next(iter(rests))]
        origin.fault, tier.barrier = failing(500), asyncio.Event()
        asking = asyncio.create_task(ask(at.home, "a"))
        await at.home.until(lambda: tier.asked["rest"] == 1)
        at.now += 61
        tier.barrier.set()
        assert (await asking).status_code == 502


@pytest.mark.parametrize("said", ["max-age=0, must-revalidate", "max-age=0, stale-if-error=0"])
async def test_a_tier_knows_what_the_origin_forbade(said: str) -> None:
    origin, tier = Failing(said), FakeTier()
    async with held(origin, tiers=[tier], cache={"ttl": 60}) as home:
        await home.until_written()
    origin.fault = failing(500)
    async with house(origin, tiers=[tier]) as home:
        assert (await ask(home)).status_code == 502


async def test_another_frame_is_not_touched() -> None:
    origin = Failing()
    async with held(origin) as home:
        origin.fault = failing(500)
        assert (await ask(home, path=frame_of(7))).status_code == 502
        assert await counted(home) == 0

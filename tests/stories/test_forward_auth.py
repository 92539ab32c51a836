"""An external authorizer says who gets in: once for a caller and study, and with any policy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.prefetch.part import IN_FLIGHT
from tests.codestreams import PARTS, htj2k
from tests.guarded_origin import BODIES, OTHER_STUDY, SINGLE, Guarded, GuardedOrigin, guarded
from tests.house import cache_did
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.scripted_origin import (
    HANG_UP,
    SERIES,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
    running,
)
from tests.stories.test_alternates import PIXELS, described
from tests.ways_in import ALTERNATE, FRAME, PREFLIGHT, STUDY, WAYS

pytestmark = pytest.mark.anyio

HIT, MISS = (200, "hit"), (200, "fwd=miss; stored")
OTHER = frame_of(0, OTHER_STUDY)


class Authorizer(ScriptedOrigin):
    """Lets in the callers in `readers`, each by its `Authorization` or `Cookie`."""

    def __init__(self, *readers: str) -> None:
        super().__init__(script=self._answer)
        self.readers = set(readers)
        self.refusal = Reply(401, {"www-authenticate": "Bearer realm=clinic"}, (b"no",))
        self.barrier: asyncio.Event | None = None

    def _answer(self, asked: Asked) -> Reply:
        who = asked.headers.get("authorization", asked.headers.get("cookie", "")).removeprefix("Bearer ")
        reply = Reply(204, {}) if who in self.readers else self.refusal
        if self.barrier is None:
            return reply
        return Reply(200, {"transfer-encoding": "chunked"}, (self.barrier, b"0\r\n\r\n"))


@asynccontextmanager
async def behind(
    authorizer: Authorizer, origin: ScriptedOrigin | None = None, /, policy: str = "shared", **settings: Any
) -> AsyncIterator[Guarded]:
    """A house that the authorizer guards."""
    origin = (
        ScriptedOrigin().with_series(BODIES).with_series(BODIES, OTHER_STUDY) if origin is None else origin
    )
    async with running(authorizer):
        access = {
            "policy": policy,
            "forward_auth": f"{authorizer.url}/auth?app=pacs",
            **settings.pop("access", {}),
        }
        async with guarded(origin, access=access, **settings) as at:
            deciding = at.home.app.access._authorizer
            assert deciding is not None
            deciding._clock = lambda: at.now
            yield at


async def test_a_caller_is_asked_about_once_for_a_study() -> None:
    authorizer = Authorizer("a", "b")
    async with behind(authorizer) as at:
        assert [await at.did("a", frame_of(number)) for number in (0, 1, 0, 1)] == [MISS, MISS, HIT, HIT]
        assert len(authorizer.asked) == 1
        assert await at.did("b", FRAME) == HIT
        assert await at.did("a", OTHER) == MISS
        assert len(authorizer.asked) == 3


async def test_a_question_tells_of_the_request_and_nothing_else_of_the_caller() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer) as at:
        spoofed = {"x-forwarded-uri": "/public", "x-original-uri": "/public", "x-secret": "x"}
        await at.ask("a", f"/pacs{FRAME}?x=1", cookie="session=1", **spoofed)
        (asked,) = authorizer.asked
        host = at.home.viewer.base_url.netloc.decode()
        uri = f"/pacs{FRAME}?x=1"
        assert (asked.method, asked.path) == ("GET", "/auth?app=pacs")
        told = {
            name: value for name, value in asked.headers.items() if name.startswith(("x-", "auth", "cook"))
        }
        assert told == {
            "authorization": "Bearer a",
            "x-forwarded-method": "GET",
            "x-forwarded-proto": "http",
            "x-forwarded-host": host,
            "x-forwarded-uri": uri,
            "x-original-method": "GET",
            "x-original-uri": uri,
            "x-original-url": f"http://{host}{uri}",
        }


@pytest.mark.parametrize(
    ("cookies", "headers", "told"),
    [
        (None, {"cookie": "b=2; a=1"}, {"cookie": "a=1; b=2"}),
        (
            ["a"],
            {"cookie": "b=2; a=1", "authorization": "Bearer x"},
            {"cookie": "a=1", "authorization": "Bearer x"},
        ),
        ([], {"cookie": "a=1"}, {}),
    ],
)
async def test_the_authorizer_gets_the_credentials_that_a_caller_is_known_by(
    cookies: list[str] | None, headers: dict[str, str], told: dict[str, str]
) -> None:
    authorizer = Authorizer()
    access = {} if cookies is None else {"cookies": cookies}
    async with behind(authorizer, access=access) as at:
        await at.ask("", FRAME, **headers)
        (asked,) = authorizer.asked
        assert {
            name: asked.headers[name] for name in ("authorization", "cookie") if name in asked.headers
        } == told


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            Reply(401, {"www-authenticate": "Bearer realm=clinic"}),
            {"www-authenticate": "Bearer realm=clinic"},
        ),
        (Reply(403, {}, (b"a page",)), {}),
        (Reply(302, {"location": "https://login.example/"}), {"location": "https://login.example/"}),
        (Reply(307, {"location": "/oauth2/start"}), {"location": "/oauth2/start"}),
    ],
)
async def test_a_refusal_is_passed_on_as_the_authorizer_said_it_and_kept_a_few_seconds(
    refusal: Reply, told: dict[str, str]
) -> None:
    authorizer, origin = Authorizer("a"), ScriptedOrigin().with_series(BODIES)
    authorizer.refusal = refusal
    async with behind(authorizer, origin) as at:
        assert await at.did("a", FRAME) == MISS
        before = len(origin.asked)
        for path in (FRAME, frame_of(1), f"{SERIES}/metadata"):
            refused = await at.ask("b", path)
            assert refused.status_code == refusal.status
            kept = {
                name: refused.headers[name]
                for name in ("www-authenticate", "location")
                if name in refused.headers
            }
            assert kept == told
        assert (len(authorizer.asked), len(origin.asked)) == (2, before)
        authorizer.readers.add("b")
        at.now += 3.1
        assert await at.did("b", FRAME) == HIT


@pytest.mark.parametrize(
    "answer",
    [
        Reply(404, {}),
        Reply(500, {}),
        Reply(429, {}),
        Reply(302, {}),
        Reply(302, {"location": "https://login.example/?rd=\u00e4"}),
        Reply(304, {"location": "https://login.example/"}),
        Reply(200, {"content-length": "100"}, (b"x", HANG_UP)),
        Reply(200, {"transfer-encoding": "gzip"}, (b"x",)),
    ],
)
async def test_any_other_answer_is_no_yes(answer: Reply) -> None:
    authorizer, origin = Authorizer(), ScriptedOrigin().with_series(BODIES)
    authorizer.script = lambda asked: answer
    async with behind(authorizer, origin) as at:
        for _ in range(2):
            refused = await at.ask("a", FRAME)
            assert (refused.status_code, refused.headers["retry-after"]) == (502, "1")
        assert origin.frame_requests == []
        assert at.home.metric("refused_requests_total", reason="AuthorityFailed") == 2


async def test_while_the_authorizer_is_down_a_good_yes_serves_until_it_ends() -> None:
    authorizer = Authorizer("a", "b")
    async with behind(authorizer) as at:
        assert await at.did("a", FRAME) == MISS
        await authorizer.stop()
        at.now += 59
        assert await at.did("a", FRAME) == HIT  # a renewal begins, and fails
        assert (await at.did("b", FRAME))[0] == 502
        assert await at.did("a", FRAME) == HIT
        at.now += 2
        assert (await at.did("a", FRAME))[0] == 502


async def test_a_yes_that_is_used_is_renewed_before_it_ends() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer) as at:
        assert await at.did("a", FRAME) == MISS
        at.now += 39
        assert await at.did("a", FRAME) == HIT
        assert len(authorizer.asked) == 1
        at.now += 6
        assert await at.did("a", FRAME) == HIT
        await at.home.until(lambda: asking(at) == 0)
        assert len(authorizer.asked) == 2
        at.now += 35  # the first yes is over
        authorizer.readers.clear()
        assert await at.did("a", FRAME) == HIT
        at.now += 10
        assert await at.did("a", FRAME) == HIT
        await at.home.until(lambda: asking(at) == 0)
        assert (await at.did("a", FRAME))[0] == 401


def asking(at: Guarded) -> int:
    authorizer = at.home.app.access._authorizer
    assert authorizer is not None
    return len(authorizer._asking)


async def test_without_a_time_to_live_each_request_is_asked_about() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer, access={"ttl": 0}) as at:
        assert [await at.did("a", FRAME) for _ in range(3)] == [MISS, HIT, HIT]
        assert len(authorizer.asked) == 3
        authorizer.readers.clear()
        assert (await at.did("a", FRAME))[0] == 401


async def test_a_hundred_wait_for_one_question_also_if_the_first_leaves() -> None:
    authorizer = Authorizer("a")
    authorizer.barrier = asyncio.Event()
    async with behind(authorizer) as at:
        headers = SINGLE | {"authorization": "Bearer a"}
        asking = [
            asyncio.create_task(at.home.viewer.get(frame_of(n % 4), headers=headers)) for n in range(100)
        ]
        await at.home.until_inside(100)
        await at.home.until(lambda: len(authorizer.asked) == 1)
        asking[0].cancel()
        authorizer.barrier.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert [getattr(answer, "status_code", 0) for answer in answers[1:]] == [200] * 99
        assert len(authorizer.asked) == 1
        await at.home.until_idle()


async def test_callers_without_credentials_are_asked_about_together() -> None:
    authorizer = Authorizer()
    async with behind(authorizer) as at:
        assert [(await at.did("", FRAME))[0] for _ in range(2)] == [401, 401]
        assert len(authorizer.asked) == 1
        authorizer.readers.add("")
        at.now += 4
        assert await at.did("", FRAME) == MISS


async def test_a_request_that_may_change_something_is_asked_about_each_time() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer) as at:
        headers = {"authorization": "Bearer a"}
        assert await at.did("a", FRAME) == MISS
        for _ in range(2):
            await at.home.viewer.delete(STUDY, headers=headers)
        told = [
            (asked.headers["x-forwarded-method"], asked.headers["x-forwarded-uri"])
            for asked in authorizer.asked
        ]
        assert told == [("GET", FRAME), ("DELETE", STUDY), ("DELETE", STUDY)]
        authorizer.readers.clear()
        assert (await at.home.viewer.delete(STUDY, headers=headers)).status_code == 401


async def test_a_path_without_a_study_is_asked_about_by_itself() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer) as at:
        for path in (
            "/studies?PatientID=1",
            "/studies?PatientID=2",
            "/studies?PatientID=1",
            "/series",
            f"{STUDY}/series",
        ):
            await at.ask("a", path)
        assert [asked.headers["x-forwarded-uri"] for asked in authorizer.asked] == [
            "/studies?PatientID=1",
            "/studies?PatientID=2",
            "/series",
            f"{STUDY}/series",
        ]


async def test_a_path_that_an_origin_may_decode_to_another_study_is_asked_about_by_itself() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer) as at:
        await at.ask("a", f"{STUDY}/series")
        way_out = f"{STUDY}/%252e%252e/{OTHER_STUDY.split('/')[2]}/series"
        for path in (f"{STUDY}/series/1,2", way_out, way_out):
            await at.ask("a", path)
        assert [asked.headers["x-forwarded-uri"] for asked in authorizer.asked] == [
            f"{STUDY}/series",
            way_out,
        ]


async def test_with_the_default_policy_both_are_asked() -> None:
    authorizer, origin = Authorizer("a", "b"), GuardedOrigin("a", "c")
    async with behind(authorizer, origin, policy="ask-origin") as at:
        assert await at.did("a", FRAME) == MISS
        assert await at.did("b", FRAME) == (403, "")
        assert (await at.did("c", FRAME))[0] == 401
        assert len(authorizer.asked) == 3


async def test_an_authorizer_that_leads_back_to_the_proxy_lets_nobody_in() -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    async with behind(Authorizer(), origin) as at:
        deciding = at.home.app.access._authorizer
        assert deciding is not None
        deciding._url = f"{at.home.viewer.base_url}/studies"
        assert (await at.ask("a", FRAME)).status_code == 502
        assert origin.frame_requests == []


async def test_a_preflight_is_not_asked_about() -> None:
    authorizer = Authorizer()
    async with behind(authorizer) as at:
        assert (await at.home.viewer.options("/studies", headers=PREFLIGHT)).status_code == 404
        assert authorizer.asked == []
        assert (await at.home.viewer.options("/studies")).status_code == 401


@pytest.mark.parametrize("policy", ["ask-origin", "credential", "shared", "own"])
async def test_it_holds_for_every_way_in(policy: str, tmp_path: Path) -> None:
    body = htj2k(PIXELS, **PARTS)
    origin, authorizer = described(ScriptedOrigin().with_series([body])), Authorizer("a")
    first: dict[str, Any] = {"rendered": "proxy"}
    if policy == "own":
        path = tmp_path / "token"
        await asyncio.to_thread(path.write_text, "ours\n")
        first["credentials"] = {"bearer_file": str(path)}
    said = "ask-origin" if policy == "own" else policy
    async with behind(authorizer, origin, policy=said, origin=first, **ALTERNATE) as at:
        assert cache_did(await at.ask("a", FRAME)) == "fwd=miss; stored"
        before = len(origin.asked)
        for who in ({}, {"authorization": "Bearer b"}, {"cookie": "c=1"}):
            statuses = {name: (await way.ask(at.home, who)).status_code for name, way in WAYS.items()}
            assert statuses == dict.fromkeys(WAYS, 401)
        assert len(origin.asked) == before
        valid = {"authorization": "Bearer a"}
        statuses = {name: (await way.ask(at.home, valid)).status_code for name, way in WAYS.items()}
        assert [name for name, status in statuses.items() if status == 401] == []
        await at.home.until_idle()


async def test_a_plan_is_asked_about_as_a_viewer_would_read_its_series() -> None:
    authorizer = Authorizer("a")
    async with behind(authorizer) as at:
        await WAYS["plan"].ask(at.home, {"authorization": "Bearer a"})
        assert authorizer.asked[0].headers["x-forwarded-uri"] == SERIES
        wrong = {"study": "1\r\nx: y", "series": "2", "profile": "single"}
        answer = await at.home.admin.post("/v1/plans", json=wrong, headers={"authorization": "Bearer a"})
        assert (answer.status_code, len(authorizer.asked)) == (400, 1)
        await at.home.until_idle()


async def test_with_verified_tokens_one_answer_serves_a_person() -> None:
    authorizer, issuer = Authorizer(), Issuer()
    tokens = [issuer.token(jti=str(number)) for number in range(3)]
    authorizer.readers = set(tokens)
    async with running(issuer):
        jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": f"{issuer.url}/keys"}
        async with behind(authorizer, access={"jwt": jwt}) as at:
            assert [await at.did(token, FRAME) for token in tokens] == [MISS, HIT, HIT]
            assert (await at.did("a", FRAME))[0] == 401
            assert len(authorizer.asked) == 1


async def test_a_plan_ends_and_is_nobodys_once_its_maker_is_refused() -> None:
    bodies = [codestream(5_000 + number, number) for number in range(40)]
    authorizer, barrier = Authorizer("ada"), asyncio.Event()
    origin = ScriptedOrigin().with_series(bodies)
    origin.script = lambda asked: (
        honest(origin.frames[asked.path], asked, before=[barrier]) if "/frames/" in asked.path else None
    )
    maker = {"authorization": "Bearer ada"}
    async with behind(authorizer, origin) as at:
        plan = await at.home.begin_plan("single", headers=maker)
        assert (await at.home.admin.get(plan, headers=maker)).status_code == 200
        await at.home.until(lambda: len(origin.frame_requests) > 1)
        authorizer.readers.clear()
        at.home.app.access._authorizer._yes.clear()  # type: ignore[union-attr]  # as after `access.ttl`
        barrier.set()
        await at.home.until_idle()
        assert len(origin.frame_requests) <= IN_FLIGHT
        assert (await at.home.admin.get(plan, headers=maker)).status_code == 401
        assert (await at.home.admin.get(f"{plan}/events", headers=maker)).status_code == 401

"""Plans, purges and the origins' reports need the operator's token; health and metrics do not."""

import json
from asyncio import open_connection, sleep, to_thread
from pathlib import Path

import pytest

from tests.house import House, cache_did, house
from tests.scripted_origin import SERIES, ScriptedOrigin, codestream, frame_of

pytestmark = pytest.mark.anyio

FRAME = frame_of(0)
TOKEN = "the-operators-token"
BEARER = {"authorization": f"Bearer {TOKEN}"}
LOCKED = (
    ("POST", "/v1/plans"),
    ("GET", "/v1/plans/p1"),
    ("GET", "/v1/plans/p1/events"),
    ("DELETE", "/v1/plans/p1"),
    ("GET", "/v1/origins"),
    ("DELETE", "/v1/origins/pacs/forms"),
    ("GET", "/v1/status"),
    ("GET", "/v1/status/hour"),
    ("GET", "/v1/status/events"),
    ("DELETE", "/v1/status/plans/p1"),
    ("POST", "/v1/playground?images=1"),
    ("DELETE", "/v1/cache/studies/1"),
    ("DELETE", "/v1/cache/studies/1/series/2"),
    ("DELETE", "/v1/cache/studies/1/series/2/instances/3"),
)
OPEN = ("/livez", "/readyz", "/metrics", "/openapi.json")
SINGLE = {"accept": "image/jphc"}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


async def statuses(home: House, **headers: str) -> set[int]:
    answers = [await home.admin.request(method, path, headers=headers) for method, path in LOCKED]
    assert [(await home.admin.get(path)).status_code for path in OPEN] == [200] * len(OPEN)
    return {answer.status_code for answer in answers}


async def test_the_page_is_told_what_it_needs(token: Path) -> None:
    for admin, needs in (({}, "off"), ({"open": True}, "nothing"), ({"token_file": token}, "token")):
        async with house(ScriptedOrigin(), admin=admin) as home:
            assert (await home.admin.get("/page/access")).json() == {"needs": needs}
            assert (await home.admin.get("/page/")).status_code == 200


async def test_without_a_token_all_of_it_is_off() -> None:
    async with house(ScriptedOrigin(), admin={}) as home:
        assert await statuses(home, **BEARER) == {404}
        assert (await home.admin.get("/v1/origins")).json()["detail"] == "set admin.token_file to use this"


WRONG: dict[str, dict[str, str]] = {
    "none": {},
    "another": {"authorization": "Bearer another-token-of-16"},
    "a part of it": {"authorization": f"Bearer {TOKEN[:-1]}"},
    "more than it": {"authorization": f"Bearer {TOKEN}x"},
    "empty": {"authorization": "Bearer "},
    "Basic": {"authorization": f"Basic {TOKEN}"},
    "no scheme": {"authorization": TOKEN},
    "a cookie": {"cookie": f"authorization=Bearer {TOKEN}"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
async def test_another_token_is_refused(token: Path, headers: dict[str, str]) -> None:
    origin = ScriptedOrigin()
    async with house(origin, admin={"token_file": token}) as home:
        before = len(origin.asked)
        assert await statuses(home, **headers) == {401}
        answer = await home.admin.get("/v1/origins", headers=headers)
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert len(origin.asked) == before


@pytest.mark.parametrize("name", ["authorization", "proxy-authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_the_token_comes_in_either_header(token: Path, name: str, scheme: str) -> None:
    async with house(ScriptedOrigin(), admin={"token_file": token}) as home:
        answer = await home.admin.get("/v1/origins", headers={name: f"{scheme} {TOKEN}"})
        assert answer.status_code == 200


PLANS: dict[str, tuple[dict[str, str], str | None]] = {
    "the token alone": (BEARER, None),
    "with the credential of a viewer": (
        {"proxy-authorization": f"Bearer {TOKEN}", "authorization": "Bearer viewers-own"},
        "Bearer viewers-own",
    ),
    "twice": (BEARER | {"proxy-authorization": f"Bearer {TOKEN}"}, None),
}


@pytest.mark.parametrize(("headers", "seen"), PLANS.values(), ids=PLANS)
async def test_no_origin_sees_the_token(token: Path, headers: dict[str, str], seen: str | None) -> None:
    origin = ScriptedOrigin().with_series([codestream(100_000)])
    async with house(origin, admin={"token_file": token}) as home:
        made = await home.ask_plan("sequential", headers=headers)
        assert made.status_code == 202
        await home.admin.get(f"{made.headers['location']}/events", headers=headers)
        asked = [each for each in origin.asked if each.path.startswith(SERIES)]
        assert asked
        assert {each.headers.get("authorization") for each in asked} == {seen}
        assert not any("proxy-authorization" in each.headers for each in origin.asked)


async def test_a_token_that_changes_counts_soon(token: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with house(ScriptedOrigin(), admin={"token_file": token}) as home:
        assert (await home.admin.get("/v1/origins", headers=BEARER)).status_code == 200
        await to_thread(token.write_text, "the-token-after-that")
        newer = {"authorization": "Bearer the-token-after-that"}
        while (await home.admin.get("/v1/origins", headers=newer)).status_code != 200:
            await sleep(0.02)
        assert (await home.admin.get("/v1/origins", headers=BEARER)).status_code == 401
        await to_thread(token.unlink)
        while "can't be used; the last good one stays" not in caplog.text:
            assert (await home.admin.get("/v1/origins", headers=newer)).status_code == 200
            await sleep(0.02)
        assert (await home.admin.get("/v1/origins", headers=newer)).status_code == 200


STUDY, UID, INSTANCE = FRAME.split("/")[2:7:2]
PURGES = {
    "its study": (f"/studies/{STUDY}", True),
    "its series": (f"/studies/{STUDY}/series/{UID}", True),
    "its instance": (f"/studies/{STUDY}/series/{UID}/instances/{INSTANCE}", True),
    "its study at its origin": (f"/studies/{STUDY}?origin=pacs", True),
    "another study": ("/studies/9.9", False),
    "another instance": (f"/studies/{STUDY}/series/{UID}/instances/9.9", False),
}


@pytest.mark.parametrize(("path", "is_dropped"), PURGES.values(), ids=PURGES)
async def test_a_purge_drops_what_it_names(path: str, is_dropped: bool) -> None:
    async with house(ScriptedOrigin({FRAME: codestream(100_000)})) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 200
        answer = await home.admin.delete(f"/cache{path}")
        assert (answer.status_code, answer.content) == (204, b"")
        again = await home.viewer.get(FRAME, headers=SINGLE)
        assert (cache_did(again) == "hit") is not is_dropped


@pytest.mark.parametrize(
    ("path", "status"),
    [("/studies/1?origin=nobody", 404), ("/studies/%0A", 400), ("/studies/1/series/..%2F", 404)],
)
async def test_a_purge_of_what_can_not_be_is_refused(path: str, status: int) -> None:
    async with house(ScriptedOrigin()) as home:
        assert (await home.admin.delete(f"/cache{path}")).status_code == status


async def test_a_token_that_is_renewed_while_the_body_comes_goes_to_no_origin(token: Path) -> None:
    origin = ScriptedOrigin().with_series([codestream(60_000)])
    async with house(origin, admin={"token_file": token}) as home:
        _, _, study, _, series = SERIES.split("/")
        body = json.dumps({"study": study, "series": series, "profile": "single"}).encode()
        reader, writer = await open_connection(home.admin.base_url.host, home.admin.base_url.port)
        head = f"POST /v1/plans HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body[:10])
        await home.until(lambda: home.app.operators.taken == 1)
        await to_thread(token.write_text, "another-operators-token\n")
        while (await home.admin.get("/v1/origins", headers=BEARER)).status_code != 401:
            await sleep(0.05)  # until the new one counts
        writer.write(body[10:])
        assert b" 202 " in await reader.readline()
        await home.until_idle()
        assert not [asked for asked in origin.asked if TOKEN in asked.headers.get("authorization", "")]
        writer.close()

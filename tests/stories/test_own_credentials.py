"""The proxy's own credentials for an origin: only they reach the origin, never those of a viewer."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.house import house
from tests.scripted_origin import FRAME, SERIES, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

BODY = codestream(100_000)
VIEWER = {"accept": "image/jphc", "authorization": "Bearer viewers", "cookie": "a=b"}


def guarded(asked: Asked) -> Reply | None:
    is_ours = asked.headers.get("authorization") == "Bearer ours"
    return None if is_ours else Reply(401, {"www-authenticate": "Bearer realm=pacs"})


async def test_frames_and_all_else_are_asked_for_with_the_proxy_s_own(tmp_path: Path) -> None:
    path = tmp_path / "token"
    await asyncio.to_thread(path.write_text, "ours\n")
    origin = ScriptedOrigin({FRAME: BODY}, guarded)
    async with house(origin, origin={"credentials": {"bearer_file": str(path)}}) as home:
        assert (await home.viewer.get(FRAME, headers=VIEWER)).content == BODY
        assert (await home.viewer.get("/studies?limit=1", headers=VIEWER)).status_code == 200
        assert all(asked.headers.get("authorization") == "Bearer ours" for asked in origin.asked)
        assert not any("cookie" in asked.headers for asked in origin.asked)


PASSED = f"{SERIES}/metadata"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", FRAME), ("GET", PASSED), ("GET", "/studies?limit=1"), ("POST", "/studies")]
)
async def test_where_they_are_refused_no_viewer_is_asked_for_his(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    secret = tmp_path / "token"
    await asyncio.to_thread(secret.write_text, "stale")
    challenge = {"www-authenticate": "Bearer realm=pacs"}
    origin = ScriptedOrigin(script=lambda asked: Reply(status, challenge, (b"not you",)))
    async with house(origin, origin={"credentials": {"bearer_file": str(secret)}}) as home:
        answer = await home.viewer.request(method, path, headers=VIEWER, content=b"x" * (method == "POST"))
        assert (answer.status_code, answer.json()["title"]) == (502, "OriginFailed")
        assert "www-authenticate" not in answer.headers
        assert "stale" not in answer.text
        assert "not you" not in answer.text
        refused = await home.ask_plan()
        assert "www-authenticate" not in refused.headers
        assert refused.status_code == 502


@pytest.mark.parametrize("status", [401, 403])
async def test_where_viewers_bring_their_own_they_hear_that_they_are_refused(status: int) -> None:
    challenge = {"www-authenticate": "Bearer realm=pacs"}
    async with house(ScriptedOrigin(script=lambda asked: Reply(status, challenge, (b"not you",)))) as home:
        for path in (FRAME, PASSED):
            answer = await home.viewer.get(path, headers=VIEWER)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (status, "Bearer realm=pacs")


async def test_what_is_private_is_kept_for_the_proxy_whose_own_credentials_fetched_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    await asyncio.to_thread(path.write_text, "ours\n")
    private = {"cache-control": "private, max-age=600"}
    origin = ScriptedOrigin()

    def script(asked: Asked) -> Reply | None:
        refused = guarded(asked)
        if refused is not None or asked.path != FRAME:
            return refused
        reply = honest(BODY, asked)
        return replace(reply, headers=reply.headers | private)

    origin.script = script
    async with house(origin, origin={"credentials": {"bearer_file": str(path)}}) as home:
        for viewer in ({}, VIEWER):
            assert (await home.viewer.get(FRAME, headers=viewer | {"accept": "image/jphc"})).content == BODY
            await home.until_idle()
            asked = len(origin.frame_requests)
            assert (await home.viewer.get(FRAME, headers=viewer | {"accept": "image/jphc"})).content == BODY
            assert len(origin.frame_requests) == asked


async def test_what_everybody_can_use_is_said_at_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "proxy.service.app"):
        async with house(ScriptedOrigin(), origin={"credentials": {"user": "u", "password_env": "HOME"}}):
            pass
    said = [record.getMessage() for record in caplog.records if record.name == "proxy.service.app"]
    assert [words for words in said if words.startswith("origins: pacs: all who reach")] == said != []

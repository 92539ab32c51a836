"""Readiness of the service, with origins that are down, that come back, and that only viewers reach."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.house import STORY, House, house
from tests.ports import free_port
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, running
from tests.stories.test_viewers import SINGLE

pytestmark = pytest.mark.anyio

BODY = codestream(1000)
GREETING = "/studies?limit=1"


def only_a_greeting_fails(asked: Asked) -> Reply | None:
    return Reply(500, {}) if asked.path == GREETING else None


def nothing_but_a_greeting_fails(asked: Asked) -> Reply | None:
    return None if asked.path == GREETING else Reply(500, {})


@asynccontextmanager
async def two_archives(*, one_is_down: bool = True, **settings: Any) -> AsyncIterator[House]:
    """A service with two origins, `pacs` and `cloud`. The latter can be down."""
    pacs, cloud = ScriptedOrigin({FRAME: BODY}), ScriptedOrigin()
    async with running(pacs), running(cloud):
        urls = pacs.url, f"http://127.0.0.1:{free_port()}" if one_is_down else cloud.url
        origins = [{"name": name, "url": url} for name, url in zip(("pacs", "cloud"), urls, strict=True)]
        async with house(pacs, wait=False, origins=origins, **settings) as home:
            await home.until(lambda: "pacs" not in home.app.readiness.unreached)
            yield home


async def ready(home: House) -> tuple[int, str]:
    answer = await home.admin.get("/readyz")
    return answer.status_code, answer.json()["status"]


async def test_one_archive_that_is_down_keeps_no_viewer_from_starting() -> None:
    async with two_archives() as home:
        assert await ready(home) == (200, "ok")
        assert (await home.viewer.get(f"/pacs{FRAME}", headers=SINGLE)).content == BODY


async def test_a_restart_in_an_outage_ends_ready() -> None:
    origin = ScriptedOrigin(script=lambda _: Reply(503, {}))
    async with house(origin, wait=False) as home:
        await home.until(lambda: bool(origin.asked))
        assert await ready(home) == (200, "ok")
        assert home.app.readiness.unreached == ("pacs",)


@pytest.mark.parametrize(
    ("policy", "with_one", "with_both"),
    [
        ("started", (200, "ok"), (200, "ok")),
        ("any-origin", (200, "ok"), (200, "ok")),
        ("each-origin", (503, "not reached yet: cloud"), (200, "ok")),
    ],
)
async def test_ready_may_wait_for_any_origin_or_for_each(
    policy: str, with_one: tuple[int, str], with_both: tuple[int, str]
) -> None:
    async with two_archives(ready=policy) as home:
        assert await ready(home) == with_one
    async with two_archives(ready=policy, one_is_down=False) as home:
        await home.until(lambda: not home.app.readiness.unreached)
        assert await ready(home) == with_both


@pytest.mark.parametrize("policy", ["any-origin", "each-origin"])
async def test_a_service_that_waits_for_its_only_origin_is_not_ready_before_it_answers(policy: str) -> None:
    async with house(ScriptedOrigin(script=lambda _: Reply(500, {})), wait=False, ready=policy) as home:
        assert await ready(home) == (503, "not reached yet: pacs")
        home.origin.script = None
        await home.until(lambda: not home.app.readiness.unreached)
        assert await ready(home) == (200, "ok")


async def test_readyz_verbose_has_a_line_for_each_origin() -> None:
    async with two_archives() as home:
        await home.until(lambda: "no connection" in "".join(home.app.readiness.lines()))
        told = await home.admin.get("/readyz?verbose")
        assert told.status_code == 200
        assert told.headers["content-type"].startswith("text/plain")
        assert told.text.splitlines() == [
            "[+]started ok",
            "[+]origin pacs reached",
            "[-]origin cloud not reached yet: no connection to the origin",
            "readyz check passed (ready: started)",
        ]
        home.app.readiness.end()
        ending = await home.admin.get("/readyz?verbose")
        assert (ending.status_code, ending.text.splitlines()[-1]) == (503, "readyz check failed: ending")


async def test_an_origin_is_neither_up_nor_reached_before_it_has_answered() -> None:
    async with two_archives() as home:
        both = ("origin_up", "origin_reached")
        assert [home.metric(name, origin="pacs") for name in both] == [1, 1]
        assert [home.metric(name, origin="cloud") for name in both] == [0, 0]


@pytest.mark.parametrize(
    ("path", "status"),
    [(FRAME, 200), (FRAME.replace("frames/1", "frames/2"), 404), ("/studies", 200), ("/studies/1.2", 404)],
)
async def test_any_answer_to_a_viewer_reaches_the_origin_too(path: str, status: int) -> None:
    origin = ScriptedOrigin({FRAME: BODY, "/studies": b"[]"}, only_a_greeting_fails)
    async with house(origin, wait=False, ready="each-origin") as home:
        assert await ready(home) == (503, "not reached yet: pacs")
        assert (await home.viewer.get(path, headers=SINGLE)).status_code == status
        assert await ready(home) == (200, "ok")
        assert home.metric("origin_up", origin="pacs") == home.metric("origin_reached", origin="pacs") == 1


async def test_an_origin_in_trouble_is_not_reached_by_what_it_refuses() -> None:
    async with house(ScriptedOrigin(script=lambda _: Reply(500, {})), wait=False) as home:
        assert (await home.viewer.get("/studies/1.2")).status_code == 500
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502
        assert home.app.readiness.unreached == ("pacs",)


async def test_an_origin_that_was_reached_stays_so_and_health_tells_that_it_is_down() -> None:
    origin = ScriptedOrigin(script=nothing_but_a_greeting_fails)
    async with house(origin, ready="each-origin") as home:
        await origin.stop()
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502
        assert await ready(home) == (200, "ok")


async def test_an_origin_that_takes_connections_and_says_nothing_holds_up_no_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pacs = ScriptedOrigin()
        async with running(pacs):
            silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            cloud = {"name": "cloud", "url": silent_url, "timeouts": {"first_byte": 2 * STORY}}
            origins = [cloud, {"name": "pacs", "url": pacs.url}]
            async with house(pacs, wait=False, origins=origins) as home:
                assert await ready(home) == (200, "ok")
                await home.until(lambda: home.app.readiness.unreached == ("cloud",))

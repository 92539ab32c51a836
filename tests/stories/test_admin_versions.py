"""The admin API has a version in its paths; the old paths still work and say that they end."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from proxy.admin.versions import SUNSET
from tests.house import STORY, house
from tests.many import many, series_of, studies_of
from tests.scripted_origin import SERIES, ScriptedOrigin, codestream, running

pytestmark = pytest.mark.anyio

BODIES = [codestream(70_000, 1)]
STUDY, UID = SERIES.split("/")[2], SERIES.split("/")[4]
WANTED = {"study": STUDY, "series": UID, "profile": "single"}
SIGNS = ("deprecation", "sunset", "link")


async def test_each_old_path_answers_as_the_new_one_and_names_it() -> None:
    async with house(ScriptedOrigin().with_series(BODIES)) as home:
        made = await home.admin.post("/plans", json=WANTED)
        assert made.status_code == 202
        plan = made.headers["location"]
        assert plan.startswith("/v1/plans/")
        await home.events(plan)  # it has ended, so it answers the same twice
        asked = (
            ("GET", plan),
            ("GET", f"{plan}/events"),
            ("GET", "/v1/origins"),
            ("DELETE", f"/v1/cache/studies/{STUDY}"),
        )
        for method, path in asked:
            new = await home.admin.request(method, path)
            old = await home.admin.request(method, path.removeprefix("/v1"))
            assert (old.status_code, old.text) == (new.status_code, new.text)
            assert new.is_success
            assert not any(sign in new.headers for sign in SIGNS)
            assert old.headers["link"] == f'<{path}>; rel="successor-version"'
            assert re.fullmatch(r"@[0-9]+", old.headers["deprecation"]), (
                "RFC 9745: a date of structured fields"
            )
            since = datetime.fromtimestamp(int(old.headers["deprecation"][1:]), UTC)
            assert since < parsedate_to_datetime(old.headers["sunset"]) == SUNSET


@pytest.mark.parametrize("path", ["/plans", "/v1/plans", "/v1/v1/plans", "//plans", "/v1"])
async def test_no_spelling_of_a_path_goes_past_the_lock(path: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef")
    admin = {"token_file": tmp_path / "token"}
    async with house(ScriptedOrigin().with_series(BODIES), admin=admin) as home:
        answer = await home.admin.post(path, json=WANTED)
        assert answer.status_code == 401
        assert ("deprecation" in answer.headers) == (path == "/plans")


async def test_health_and_metrics_have_no_version() -> None:
    async with house(ScriptedOrigin()) as home:
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
            answer = await home.admin.get(path)
            assert answer.status_code == 200
            assert "deprecation" not in answer.headers
            assert (await home.admin.get(f"/v1{path}")).status_code == 404
        paths = (await home.admin.get("/openapi.json")).json()["paths"]
        assert {path for path in paths if not path.startswith("/v1/")} == {"/livez", "/readyz", "/metrics"}


async def test_several_workers_know_both_paths(tmp_path: Path) -> None:
    study = studies_of(1)[0]
    origin = ScriptedOrigin().with_series(BODIES, series_of(study))
    wanted = {"study": study, "series": f"{study}.1", "profile": "single"}
    async with running(origin), many(tmp_path, origin.url) as service:
        service.admin.timeout = STORY
        for prefix in ("", "/v1"):
            made = await service.admin.post(f"{prefix}/plans", json=wanted)
            assert made.status_code == 202
            answers = [made, await service.admin.get(f"{prefix}/origins")]
            answers.append(await service.admin.get(prefix + made.headers["location"].removeprefix("/v1")))
            answers.append(await service.admin.delete(f"{prefix}/cache/studies/{study}"))
            assert [answer.is_success for answer in answers] == [True] * 4
            assert [answer.headers.get_list("deprecation") != [] for answer in answers] == [not prefix] * 4
            assert all(len(answer.headers.get_list("sunset")) <= 1 for answer in answers)
        assert (await service.admin.get("/docs")).status_code == 200


async def test_the_page_of_the_api_needs_nothing_from_elsewhere() -> None:
    async with house(ScriptedOrigin()) as home:
        page = (await home.admin.get("/docs")).text
        named = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page)
        assert len(named) >= 4
        assert [name for name in named if not name.startswith("/")] == []
        for name in named:
            answer = await home.admin.get(name)
            assert answer.status_code == 200
            assert len(answer.content) > 500
        assert '"validatorUrl": null' in page

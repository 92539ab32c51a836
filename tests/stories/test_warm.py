"""Studies that are fetched before anybody asks: found by a search, within a budget, behind every viewer."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.house import House, cache_did, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.studies import bodies, frames_of, row_of, series_of, with_study

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
SIZE = 5_000
WORKLIST: dict[str, Any] = {
    "name": "worklist",
    "search": {"StudyDate": "today-2..", "ModalitiesInStudy": "CT"},
}


class Archive(ScriptedOrigin):
    """An archive with so many studies, each of two series with two images, whose searches can be answered."""

    def __init__(self, count: int) -> None:
        super().__init__(script=self._search)
        self.studies = [f"9.{number}" for number in range(1, count + 1)]
        self.rows = {study: self._row(study, number) for number, study in enumerate(self.studies)}
        self.searches: list[dict[str, list[str]]] = []
        for study in self.studies:
            seed = int(study.partition(".")[2])
            with_study(self, {number: bodies(2, SIZE, 10 * seed + number) for number in (1, 2)}, study)

    def _row(self, study: str, number: int) -> dict[str, Any]:
        return row_of(study=study, patient=f"P{number}", date="20261129", of_study=4)

    def _search(self, asked: Asked) -> Reply | None:
        if not asked.path.startswith("/studies?") or asked.path == "/studies?limit=1":
            return None
        query = parse_qs(asked.path.partition("?")[2])
        self.searches.append(query)
        patient = query.get("PatientID", [None])[0]
        rows = [row for row in self.rows.values() if patient in (None, row["00100020"]["Value"][0])]
        return Reply(200, {"content-type": "application/dicom+json"}, (json.dumps(rows).encode(),))

    @property
    def fetched(self) -> set[str]:
        """The frames that were asked for."""
        return {asked.path for asked in self.frame_requests}


def warming(**more: Any) -> dict[str, Any]:
    return {"warm": [WORKLIST | more]}


async def told(home: House) -> dict[str, Any]:
    [progress] = (await home.admin.get("/v1/warm")).json()
    return dict(progress)


def counted(home: House) -> dict[str, float]:
    """The metrics of runs and studies. Counters are there if they are not 0."""
    states = [("runs_total", "state", state) for state in ("done", "spent", "failed", "cancelled")]
    outcomes = [("studies_total", "outcome", outcome) for outcome in ("done", "skipped", "failed")]
    counts = {
        f"{name} {value}": home.metric(f"warm_{name}", warm="worklist", **{label: value})
        for name, label, value in (*states, *outcomes)
    }
    gauges = {name: home.metric(f"warm_{name}", warm="worklist") for name in ("running", "failed")}
    return {name: count for name, count in counts.items() if count} | gauges


async def warmed(home: House) -> dict[str, Any]:
    """Begins, and returns the progress at the end."""
    assert (await home.admin.post("/v1/warm", json={})).status_code == 202
    [progress] = home.app.warming.progress.values()
    await home.until(lambda: progress.ended is not None)
    await home.until_idle()
    return await told(home)


def two_days_ago() -> str:
    return (datetime.now(UTC).astimezone() - timedelta(days=2)).strftime("%Y%m%d")


async def test_a_worklist_is_there_before_anybody_asks() -> None:
    archive, days = Archive(3), [two_days_ago()]
    async with house(archive, **warming()) as home:
        assert (await told(home))["state"] == "idle"
        progress = await warmed(home)
        counts = {name: progress[name] for name in ("state", "studies", "done", "skipped", "failed")}
        assert counts == {"state": "done", "studies": 3, "done": 3, "skipped": 0, "failed": 0}
        assert progress["bytes"] >= 12 * SIZE
        assert counted(home) == {
            "runs_total done": 1, "studies_total done": 3, "running": 0, "failed": 0
        }  # fmt: skip
        assert home.metric("warm_bytes_total", warm="worklist") == progress["bytes"]
        assert home.metric("warm_requests_total", warm="worklist") == progress["requests"]
        assert home.metric("warm_ended_timestamp_seconds", warm="worklist") > 0
        days.append(two_days_ago())  # midnight may have come
        search = dict(archive.searches[0])
        assert search.pop("StudyDate") in [[f"{day}-"] for day in days]
        assert search == {"ModalitiesInStudy": ["CT"], "limit": ["200"]}
        before = len(archive.frame_requests)
        for study in archive.studies:
            for path in frames_of((1, 2), 2, study):
                assert cache_did(await home.viewer.get(path, headers=SINGLE)) == "hit"
        assert len(archive.frame_requests) == before == 12


async def test_what_has_not_changed_is_left_out_the_next_time() -> None:
    archive = Archive(3)
    async with house(archive, cache={"search_ttl": 0}, **warming()) as home:
        await warmed(home)
        archive.rows["9.2"] |= row_of(of_study=5)
        before = len(archive.frame_requests)
        progress = await warmed(home)
        assert (progress["skipped"], progress["done"], progress["state"]) == (2, 1, "done")
        assert len(archive.frame_requests) == before  # its frames are held


async def test_50_studies_killed_in_the_middle_go_on_where_they_were(tmp_path: Path) -> None:
    archive = Archive(50)
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    settings: dict[str, Any] = {
        "cache": {"disk": {"path": tmp_path / "disk"}},
        "access": {"key_file": key},
        **warming(budget=50 * 4 * SIZE * 2),
    }
    async with house(archive, **settings) as home:
        await home.admin.post("/v1/warm", json={})
        await home.until(lambda: len(archive.frame_requests) >= 100)
    cut = len(archive.frame_requests)
    assert cut < 200
    async with house(archive, **settings) as home:
        progress = await warmed(home)
        assert (progress["state"], progress["done"], progress["failed"]) == ("done", 50, 0)
        assert progress["bytes"] <= 50 * 4 * SIZE * 2
        assert archive.fetched == set(archive.frames)
        # Only those are asked for again that were on their way, or on their way to the disk.
        assert len(archive.frame_requests) - cut < 200 - cut + 40
        for study in archive.studies[::10]:
            for path in frames_of((1, 2), 2, study):
                assert cache_did(await home.viewer.get(path, headers=SINGLE)) == "hit"


async def test_its_budget_ends_it() -> None:
    for budget in ({"budget": 10 * 4 * SIZE}, {"requests": 60}):
        archive = Archive(50)
        async with house(archive, **warming(**budget)) as home:
            progress = await warmed(home)
            assert progress["state"] == "spent"
            assert 0 < progress["done"] < 15
            if "budget" in budget:
                assert progress["bytes"] <= 10 * 4 * SIZE + 2 * SIZE
            else:
                assert progress["requests"] <= 60


async def test_a_viewer_waits_for_none_of_it() -> None:
    """The frames of 30 viewers' requests, with and without a warm, go out in the same order at the gate."""
    barrier, archive = asyncio.Event(), Archive(50)
    viewed = [frame_of(image, "/studies/7.1/series/7.2") for image in range(30)]
    archive.frames |= {path: codestream(SIZE, image) for image, path in enumerate(viewed)}
    search = archive.script
    assert search is not None

    def script(asked: Asked) -> Reply | None:
        body = archive.frames.get(asked.path)
        is_warmed = body is not None and asked.path not in viewed
        return honest(body or b"", asked, before=(barrier,)) if is_warmed else search(asked)

    archive.script = script
    async with house(archive, origin={"limits": {"in_flight": 4}}, **warming()) as home:
        await home.admin.post("/v1/warm", json={})
        await home.until(lambda: len(archive.frame_requests) == 2)  # its seats are taken, and stay so
        for path in viewed:
            answer = await home.viewer.get(path, headers=SINGLE)
            assert (answer.status_code, answer.content) == (200, archive.frames[path])
        # Between the viewers' requests, none of the warm went out, except for those that the gate lets go
        # after a second, so that nothing starves; there is no seat for these here.
        assert [asked.path for asked in archive.frame_requests[2:]] == viewed
        barrier.set()
        await home.until(lambda: home.app.warming.progress["worklist"].ended is not None)
        assert (await told(home))["done"] == 50


async def test_a_busy_origin_is_left_alone_until_it_says() -> None:
    archive, busy = Archive(3), list[Asked]()
    search = archive.script
    assert search is not None

    def script(asked: Asked) -> Reply | None:
        if "/frames/" in asked.path and not busy:
            busy.append(asked)
            return Reply(503, {"retry-after": "1"})
        return search(asked)

    archive.script = script
    async with house(archive, **warming()) as home:
        progress = await warmed(home)
        assert (progress["state"], progress["done"]) == ("done", 3)


async def test_an_origin_that_stays_busy_ends_it() -> None:
    archive = Archive(50)
    search = archive.script
    assert search is not None

    def script(asked: Asked) -> Reply | None:
        return Reply(429, {"retry-after": "0"}) if "/frames/" in asked.path else search(asked)

    archive.script = script
    async with house(archive, **warming()) as home:
        progress = await warmed(home)
        assert (progress["state"], progress["error"], progress["done"]) == ("failed", "OriginBusy", 0)
        assert counted(home) == {
            "runs_total failed": 1, "studies_total failed": 1, "running": 0, "failed": 1
        }  # fmt: skip
        assert progress["failed"] == 1


async def test_priors_of_the_patients_are_fetched_the_newest_first() -> None:
    archive = Archive(1)
    for number, day in (("21", "20250101"), ("22", "20260101"), ("23", "20240101")):
        study = f"9.{number}"
        with_study(archive, {1: bodies(1, SIZE, int(number))}, study)
        archive.rows[study] = row_of(study=study, patient="P0", date=day, of_study=1)
    today = [archive.rows["9.1"]]
    search = archive.script
    assert search is not None

    def script(asked: Asked) -> Reply | None:
        if "ModalitiesInStudy" in asked.path:
            return Reply(200, {"content-type": "application/dicom+json"}, (json.dumps(today).encode(),))
        return search(asked)

    archive.script = script
    async with house(archive, **warming(priors={"studies": 2, "days": 700})) as home:
        progress = await warmed(home)
        assert (progress["studies"], progress["done"]) == (3, 3)
        order = list(dict.fromkeys(asked.path.split("/")[2] for asked in archive.frame_requests))
        assert order == ["9.1", "9.22", "9.21"]
        [query] = archive.searches
        assert query["PatientID"] == ["P0"]
        since, until = map(date.fromisoformat, query["StudyDate"][0].split("-"))
        assert until - since == timedelta(days=700)


async def test_it_reads_with_the_token_in_its_file_and_others_ask_for_themselves(tmp_path: Path) -> None:
    archive, token = Archive(2), tmp_path / "token"
    token.write_text("warmstoken")
    search = archive.script
    assert search is not None
    archive.script = lambda asked: (
        search(asked)
        if asked.headers.get("authorization") == "Bearer warmstoken" or asked.path == "/studies?limit=1"
        else Reply(401, {})
    )
    async with house(archive, **warming(token_file=token)) as home:
        assert (await warmed(home))["done"] == 2
        for path in frames_of((1, 2), 2, "9.1"):
            refused = await home.viewer.get(path, headers=SINGLE | {"authorization": "Bearer other"})
            assert refused.status_code == 401
            mine = await home.viewer.get(path, headers=SINGLE | {"authorization": "Bearer warmstoken"})
            assert cache_did(mine) == "hit"
        assert "warmstoken" not in (await home.admin.get("/v1/warm")).text


async def test_with_credentials_of_the_proxys_own_it_needs_no_token(tmp_path: Path) -> None:
    archive, token = Archive(2), tmp_path / "token"
    token.write_text("own")
    own = {"credentials": {"bearer_file": token}}
    async with house(archive, origin=own, **warming()) as home:
        assert (await warmed(home))["done"] == 2
        assert {asked.headers.get("authorization") for asked in archive.frame_requests} == {"Bearer own"}
        for path in frames_of((1, 2), 2, "9.1"):
            assert cache_did(await home.viewer.get(path, headers=SINGLE)) == "hit"


async def test_one_that_runs_is_not_begun_twice_and_can_be_cancelled() -> None:
    barrier, archive = asyncio.Event(), Archive(3)
    search = archive.script
    assert search is not None

    def script(asked: Asked) -> Reply | None:
        body = archive.frames.get(asked.path)
        return honest(body, asked, before=(barrier,)) if body else search(asked)

    archive.script = script
    async with house(archive, **warming()) as home:
        for _ in range(2):
            assert (await home.admin.post("/v1/warm", json={})).json()[0]["state"] == "running"
        await home.until(lambda: len(archive.frame_requests) > 0)
        assert len(archive.searches) == 1
        assert (await home.admin.delete("/v1/warm")).status_code == 204
        await home.until(lambda: home.app.warming.progress["worklist"].ended is not None)
        assert (await told(home))["state"] == "cancelled"
        await home.until(lambda: not len(home.app.fills))
        barrier.set()


async def test_a_name_that_is_not_configured_is_not_found() -> None:
    async with house(Archive(1), **warming()) as home:
        answer = await home.admin.post("/v1/warm", json={"names": ["nothing"]})
        assert (answer.status_code, answer.json()["title"]) == (404, "UnknownName")


async def test_at_an_interval_it_begins_by_itself() -> None:
    archive = Archive(2)
    async with house(archive, **warming(every="1s")) as home:
        await home.until(lambda: len(archive.searches) == 2)
        progress = await told(home)
        assert progress["next"] is not None or progress["state"] == "running"


async def test_a_service_that_ends_while_it_warms_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    archive = Archive(50)
    async with house(archive, listen={"grace": 1}, **warming(cron="0 0 1 1 *")) as home:
        await home.admin.post("/v1/warm", json={})
        await home.until(lambda: len(archive.frame_requests) > 0)
        assert (await told(home))["next"] is not None
    assert home.app.warming.progress["worklist"].state == "cancelled"
    assert asyncio.all_tasks() == before


async def test_the_origin_lacks_some_of_a_study_and_the_others_go_on() -> None:
    archive, lacking = Archive(3), f"{series_of(1, '9.1')}/metadata"
    metadata, barrier = archive.metadata.pop(lacking), asyncio.Event()
    barrier.set()
    search = archive.script
    assert search is not None

    def script(asked: Asked) -> Reply | None:
        reply = search(asked)
        return reply and Reply(reply.status, reply.headers, (barrier, *reply.pieces))

    archive.script = script
    async with house(archive, cache={"search_ttl": 0}, **warming()) as home:
        progress = await warmed(home)
        assert (progress["state"], progress["done"], progress["failed"]) == ("done", 2, 1)
        assert home.metric("warm_failed", warm="worklist") == 1
        barrier.clear()
        archive.metadata[lacking] = metadata
        await home.admin.post("/v1/warm", json={})
        await home.until(lambda: home.metric("warm_running", warm="worklist") == 1)
        await home.admin.delete("/v1/warm")
        [run] = home.app.warming.progress.values()
        await home.until(lambda: run.ended is not None)
        assert home.metric("warm_failed", warm="worklist") == 1  # somebody cancelled it: nothing is known
        barrier.set()
        assert (await warmed(home))["failed"] == 0
        assert home.metric("warm_failed", warm="worklist") == 0

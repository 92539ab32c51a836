"""The audit: one line for each answer about a study, each purge and each plan."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from proxy.telemetry.audit import Audit
from proxy.viewers.audited import named_in
from tests.guarded_origin import BODIES, SERIES, SINGLE, GuardedOrigin, guarded
from tests.house import house
from tests.scripted_origin import UID, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

FRAME = frame_of(0)
NAMED = {"study": f"{UID}.1", "series": f"{UID}.2", "instance": f"{UID}.2.1"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_each_answer_leaves_a_line_once_it_has_ended(tmp_path: Path) -> None:
    file, origin = tmp_path / "audit", GuardedOrigin("a")
    async with guarded(origin, audit={"file": str(file)}) as at:
        whole = await at.ask("a", FRAME, **{"x-forwarded-for": "192.0.2.7"})
        await at.ask("a", FRAME, range="bytes=0-99")
        await at.ask("a", FRAME, **{"if-none-match": whole.headers["etag"]})
        await at.ask("b", FRAME)
        await at.ask("a", f"{SERIES}/metadata", accept="application/dicom+json")
        await at.ask("a", "/studies?PatientID=1", accept="application/dicom+json")
    told = lines(file)
    assert [(each["status"], each["bytes"]) for each in told[:3]] == [
        (200, len(BODIES[0])),
        (206, 100),
        (304, 0),
    ]
    assert [(each["kind"], each["status"]) for each in told[3:]] == [("frames", 403), ("metadata", 200)]
    for each in told:
        assert (each["event"], each["method"], each["origin"]) == ("answer", "GET", "pacs")
        assert (each["peer"], each["is_whole"]) == ("127.0.0.1", True)
    assert all(each.items() >= (NAMED | {"frames": "1"}).items() for each in told[:4])
    assert told[0]["forwarded_for"] == "192.0.2.7"
    assert "forwarded_for" not in told[1]
    mine, others = {each["who"] for each in [*told[:3], told[4]]}, told[3]["who"]
    assert len(mine) == 1
    assert others not in mine
    assert "Bearer" not in file.read_text()


async def test_a_cut_answer_says_how_far_it_came(tmp_path: Path) -> None:
    barrier, body, file = asyncio.Event(), codestream(300_000), tmp_path / "audit"
    origin = ScriptedOrigin({FRAME: body})
    origin.script = lambda asked: honest(body, asked, before=[]) if asked.range == "bytes=0-65535" else None
    async with house(origin, audit={"file": str(file)}) as home:
        origin.script = lambda asked: (
            honest(body, asked, before=[barrier]) if asked.range == "bytes=65536-" else None
        )
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            await anext(answer.aiter_bytes(65536))
        await home.until_inside(0)
        barrier.set()
    [told] = lines(file)
    assert (told["status"], told["is_whole"]) == (200, False)
    assert 0 < told["bytes"] < len(body)


async def test_purges_and_plans_leave_a_line(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with guarded(GuardedOrigin("a"), audit={"file": str(file)}) as at:
        headers = {"authorization": "Bearer a"}
        plan = await at.home.begin_plan("single", headers=headers)
        await at.home.events(plan, headers)
        await at.home.admin.delete(f"/cache{SERIES}")
        await at.ask("a", FRAME)
    made, purged, answered = lines(file)
    assert (made["event"], made["plan"], made["frames"]) == ("plan", plan.rpartition("/")[2], len(BODIES))
    assert made["who"] == answered["who"]
    assert (purged["event"], purged["series"], purged["peer"]) == ("purge", NAMED["series"], "127.0.0.1")


async def test_a_file_that_was_moved_is_opened_anew(tmp_path: Path) -> None:
    file, moved = tmp_path / "audit", tmp_path / "audit.1"
    async with house(ScriptedOrigin({FRAME: codestream(100)}), audit={"file": str(file)}) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until(lambda: bool(lines(file)))
        await asyncio.to_thread(file.rename, moved)
        await home.viewer.get(FRAME, headers=SINGLE)
    assert [len(lines(each)) for each in (moved, file)] == [1, 1]


def test_at_the_end_all_lines_are_written(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    audit = Audit(str(file))
    audit.open()
    for number in range(5000):
        audit.note("answer", number=number)
    audit.close()
    assert [each["number"] for each in lines(file)] == list(range(5000))


def test_a_file_that_can_not_be_written_is_told_once_without_its_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    audit = Audit(str(folder / "audit"))
    audit.open()
    (folder / "audit").unlink()
    folder.rmdir()
    for _ in range(3):
        audit.note("answer", study="1.2.3")
    audit.close()
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in told] == ["the audit can't be written"]
    assert "1.2.3" not in caplog.text


def test_a_file_that_can_not_be_opened_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Audit(str(tmp_path / "nowhere" / "audit")).open()


def test_standard_output_is_a_file_too(capsys: pytest.CaptureFixture[str]) -> None:
    audit = Audit("-")
    audit.open()
    audit.note("purge", study="1.2", series="", instance=None)
    audit.close()
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in told if name != "time"} == {"event": "purge", "study": "1.2"}


async def test_without_a_file_there_is_no_audit(tmp_path: Path) -> None:
    async with house(ScriptedOrigin({FRAME: codestream(100)})) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.admin.delete(f"/cache{SERIES}")
        assert home.app._audit._lines.empty()
        assert "Audited" not in repr(home.app.viewers)


PATHS = {
    "/studies": None,
    "/studies?x=1": None,
    "/workitems/1": None,
    "/studies/1": {"study": "1", "kind": "study"},
    "/pacs/studies/1%2E2/series/3": {"origin": "pacs", "study": "1.2", "series": "3", "kind": "series"},
    "/studies/1/series": {"study": "1", "kind": "series"},
    "/studies/1/series/2/thumbnail": {"study": "1", "series": "2", "kind": "thumbnail"},
    "/studies/1/series/2/instances/3": {"study": "1", "series": "2", "instance": "3", "kind": "instance"},
    "/studies/1/series/2/instances/3/jls/4": {
        "study": "1",
        "series": "2",
        "instance": "3",
        "kind": "jls",
        "frames": "4",
    },
    "/studies/1/series/2/instances/3/frames/4,5/rendered": {
        "study": "1",
        "series": "2",
        "instance": "3",
        "kind": "rendered",
        "frames": "4,5",
    },
    "/studies/1/bulkdata/a/b": {"study": "1", "kind": "bulkdata"},
}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_tells_what_it_names(path: str) -> None:
    assert named_in(path) == PATHS[path]


@pytest.mark.parametrize(
    "path",
    ["/%73tudies/1/metadata", "/studies//1/metadata", "/pacs//studies/1/metadata", "/STUDIES/1/metadata"],
)
async def test_a_path_that_a_lenient_origin_reads_leaves_a_line(tmp_path: Path, path: str) -> None:
    file, origin = tmp_path / "audit", ScriptedOrigin(script=lambda asked: Reply(200, {}, (b"[]",)))
    async with house(origin, audit={"file": str(file)}) as home:
        await home.viewer.get(path)
    [told] = lines(file)
    assert (told["study"], told["kind"], told["origin"], told["status"]) == ("1", "metadata", "pacs", 200)


async def test_a_prefix_that_is_no_origin_is_not_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with house(ScriptedOrigin(), audit={"file": str(file)}) as home:
        await home.viewer.get("/a/studies/1/metadata")
    assert [each["origin"] for each in lines(file)] == ["pacs"]


async def test_a_purge_says_who(tmp_path: Path) -> None:
    file, token = tmp_path / "audit", tmp_path / "token"
    token.write_text("the-operators-token")
    async with house(ScriptedOrigin(), audit={"file": str(file)}, admin={"token_file": token}) as home:
        for name in ("authorization", "proxy-authorization"):
            proof = {name: "Bearer the-operators-token"}
            assert (await home.admin.delete("/v1/cache/studies/1.2", headers=proof)).status_code == 204
    one, other = lines(file)
    assert one["who"] == other["who"] != ""

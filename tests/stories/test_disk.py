"""A proxy with a disk behind its memory ends, and another one begins on the same directory."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.frame.scope import FrameScope
from proxy.settings.model import Settings
from tests.guarded_origin import BODIES, GuardedOrigin, guarded
from tests.house import House, cache_did, house
from tests.revalidating_origin import OLD, RevalidatingOrigin, is_conditional
from tests.scripted_origin import FRAME, SERIES, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

BODY = codestream(3_000_000)
SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
STUDY = SERIES.partition("/series")[0]
FRAMES = [frame_of(number) for number in range(len(BODIES))]
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}


@pytest.fixture(params=[False, True], ids=["open", "encrypted"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Settings with a disk."""
    return settings_at(tmp_path, is_encrypted=request.param)


def settings_at(path: Path, *, is_encrypted: bool = False, **disk: Any) -> dict[str, Any]:
    key, secret = path / "key", path / "secret"
    key.write_bytes(b"k" * 32)
    secret.write_bytes(b"s" * 32)
    more = {"encryption_key_file": str(secret)} if is_encrypted else {}
    return {
        "access": {"key_file": str(key)},
        "cache": {"disk": {"path": str(path / "disk"), **more, **disk}},
    }


def origin_with(body: bytes = BODY) -> ScriptedOrigin:
    return ScriptedOrigin(script=lambda asked: honest(body, asked) if asked.path == FRAME else None)


async def fetched(
    settings: dict[str, Any], origin: ScriptedOrigin | None = None, headers: dict[str, str] = SINGLE
) -> ScriptedOrigin:
    """Runs a house until a viewer has the frame, and the disk too. Returns the origin, asked nothing yet."""
    origin = origin or origin_with()
    async with house(origin, **settings) as home:
        assert (await home.viewer.get(FRAME, headers=headers)).status_code in (200, 206)
        await home.until_written()
    origin.asked.clear()
    return origin


def drop_from_memory(home: House) -> None:
    assert home.app.tiered is not None
    home.app.tiered._memory.forget(FrameScope("pacs", STUDY.rpartition("/")[2]))


async def test_a_restart_is_warm(on_disk: dict[str, Any]) -> None:
    origin = await fetched(on_disk)
    async with house(origin, **on_disk) as home:
        first = await home.viewer.get(FRAME, headers=FIRST)
        assert (first.content, cache_did(first)) == (BODY[:65536], "hit; detail=disk")
        assert (await home.viewer.get(FRAME, headers=REST)).content == BODY[65536:]
        whole = await home.viewer.get(FRAME, headers=SINGLE)
        assert (whole.content, cache_did(whole)) == (BODY, "hit")
        assert home.origin.requests_of(FRAME) == 0
        assert home.metric("tier_lookups_total", tier="disk", part="first", outcome="hit") == 1
        assert home.metric("tier_lookups_total", tier="disk", part="rest", outcome="hit") == 1
        assert home.metric("tier_bytes", tier="disk", kind="frame", part="rest") >= len(BODY) - 65536


async def test_a_rest_stays_on_the_disk_until_somebody_reads_it(on_disk: dict[str, Any]) -> None:
    async with house(await fetched(on_disk), **on_disk) as home:
        for detail in ("hit; detail=disk", "hit"):
            first = await home.viewer.get(FRAME, headers=FIRST)
            assert (first.content, cache_did(first)) == (BODY[:65536], detail)
        await home.until_idle()
        assert home.metric("cache_bytes", part="rest") == 0
        assert (await home.viewer.get(FRAME, headers=REST)).content == BODY[65536:]
        await home.until_idle()
        assert home.metric("cache_bytes", part="rest") > 0
        assert home.origin.requests_of(FRAME) == 0


async def test_what_memory_evicts_comes_from_the_disk(on_disk: dict[str, Any]) -> None:
    async with house(origin_with(), **on_disk) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_written()
        drop_from_memory(home)
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert home.origin.requests_of(FRAME) == 2


async def test_a_prefix_on_disk_goes_on_at_the_origin_by_a_range(on_disk: dict[str, Any]) -> None:
    settings = on_disk | LAZY
    origin = await fetched(settings, headers=FIRST)
    async with house(origin, **settings) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        await home.until_written()
    async with house(origin, **settings) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert home.origin.ranges_of(FRAME) == ["bytes=65536-"]


async def test_a_rest_that_the_disk_has_lost_comes_from_the_origin_by_a_range(
    on_disk: dict[str, Any], tmp_path: Path
) -> None:
    origin = await fetched(on_disk)
    for file in rests(tmp_path):
        file.unlink()
    async with house(origin, **on_disk) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert home.origin.ranges_of(FRAME) == ["bytes=65536-"]


def rests(path: Path) -> Iterator[Path]:
    return (each for each in path.glob("disk/frames/??/*"))


@pytest.mark.parametrize("at", [10, 1_500_000, 2_900_000])
async def test_a_wrong_byte_in_a_rest_is_never_sent(on_disk: dict[str, Any], tmp_path: Path, at: int) -> None:
    origin = await fetched(on_disk)
    (file,) = rests(tmp_path)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    async with house(origin, **on_disk) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        (wanted,) = home.origin.ranges_of(FRAME)
        assert int(str(wanted).removeprefix("bytes=").removesuffix("-")) <= 65536 + at
        assert home.metric("tier_lookups_total", tier="disk", part="rest", outcome="wrong") == 1


async def test_who_may_read_is_asked_again_after_a_restart(on_disk: dict[str, Any]) -> None:
    origin = GuardedOrigin("a", "b")
    async with guarded(origin, **on_disk) as at:
        for path in FRAMES:
            await at.ask("a", path)
        await at.home.until_written()
    before = len(origin.frame_requests)
    async with guarded(origin, **on_disk) as at:
        for path in FRAMES:
            for who, did in (("b", "hit; detail=disk"), ("a", "hit")):
                assert await at.did(who, path) == (200, did)
        assert len(origin.frame_requests) == before + 2
        assert at.probes() == 2
    origin.readers.remove("a")
    async with guarded(origin, **on_disk) as at:
        for path in FRAMES:
            assert (await at.ask("a", path)).status_code == 403
            assert (await at.ask("", path)).status_code == 403
        assert await at.did("b", FRAMES[0]) == (200, "hit")


async def test_a_purge_empties_the_disk(on_disk: dict[str, Any], tmp_path: Path) -> None:
    origin = await fetched(on_disk)
    assert list(rests(tmp_path))
    async with house(origin, **on_disk) as home:
        assert (await home.admin.delete(f"/cache{STUDY}")).status_code == 204
        assert list(rests(tmp_path)) == []
        assert home.metric("tier_bytes", tier="disk", kind="frame", part="first") == 0
    async with house(origin, **on_disk) as home:
        assert cache_did(await home.viewer.get(FRAME, headers=FIRST)) == "fwd=miss; stored"


async def test_a_purge_that_the_disk_does_not_carry_out_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")  # no directory can be made here
    settings = settings_at(tmp_path)
    async with house(origin_with(), **settings) as home:
        assert home.app.tiered is not None
        home.app.tiered.patience = 0.0
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        answer = await home.admin.delete(f"/cache{STUDY}")
        assert (answer.status_code, answer.json()["title"]) == (503, "NotForgotten")
        assert cache_did(await home.viewer.get(FRAME, headers=SINGLE)) == "fwd=miss; stored"


async def test_a_changed_study_leaves_the_disk(on_disk: dict[str, Any]) -> None:
    def script(asked: Asked) -> Reply | None:
        if asked.method == "POST":
            return Reply(200, {}, (b"{}",))
        return honest(BODY, asked) if asked.path == FRAME else None

    async with house(ScriptedOrigin(script=script), **on_disk) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_written()
        await home.viewer.post(STUDY, content=b"DICOM")
        await home.until_written()
    async with house(origin_with(), **on_disk) as home:
        assert cache_did(await home.viewer.get(FRAME, headers=SINGLE)) == "fwd=miss; stored"


async def test_a_stale_frame_is_revalidated_after_a_restart(on_disk: dict[str, Any]) -> None:
    origin = await fetched(on_disk, RevalidatingOrigin())
    async with house(origin, **on_disk) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (OLD, "fwd=stale; stored")
        (asked,) = origin.frame_requests
        assert is_conditional(asked)


async def test_a_frame_older_than_the_ttl_of_memory_is_revalidated(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    settings["cache"]["ttl"] = 0.001
    origin = await fetched(settings)
    async with house(origin, **settings) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (BODY, "fwd=stale; stored")
        assert is_conditional(origin.frame_requests[0])


async def test_another_archive_of_the_same_name_is_another_one(on_disk: dict[str, Any]) -> None:
    await fetched(on_disk)
    other = codestream(500_000, seed=9)
    async with house(origin_with(other), **on_disk) as home:  # at another port
        home.origin.script = lambda asked: honest(other, asked) if asked.path == FRAME else None
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (other, "fwd=miss; stored")


@pytest.mark.parametrize("policy", ["credential", "ask-origin"])
async def test_what_all_shared_is_not_given_to_all_under_another_policy(tmp_path: Path, policy: str) -> None:
    settings, origin = settings_at(tmp_path), GuardedOrigin("a")
    key = settings["access"]["key_file"]
    async with guarded(origin, **settings | {"access": {"policy": "shared", "key_file": key}}) as at:
        await at.ask("a", FRAMES[0])
        await at.home.until_written()
    async with guarded(origin, **settings | {"access": {"policy": policy, "key_file": key}}) as at:
        assert (await at.ask("", FRAMES[0])).status_code == 403


async def test_another_key_makes_all_of_it_unknown(on_disk: dict[str, Any]) -> None:
    origin = await fetched(on_disk)
    await asyncio.to_thread(Path(on_disk["access"]["key_file"]).write_bytes, b"x" * 32)
    async with house(origin, **on_disk) as home:
        assert cache_did(await home.viewer.get(FRAME, headers=SINGLE)) == "fwd=miss; stored"


async def test_a_place_that_can_not_be_written_is_said_once_and_costs_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "disk").write_bytes(b"")
    async with house(ScriptedOrigin().with_series([BODY] * 9), **settings_at(tmp_path)) as home:
        for number in range(9):
            assert (await home.viewer.get(frame_of(number), headers=SINGLE)).content == BODY
        await home.until_written()
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum("tier" in words for words in said) == 2  # that it can't be tended, and that it is left alone


async def test_a_disk_without_a_key_of_its_names_is_refused(tmp_path: Path) -> None:
    origins = [{"url": "http://127.0.0.1:1"}]
    with pytest.raises(ValueError, match=r"cache\.disk: needs access\.key_file"):
        Settings(origins=origins, cache={"disk": {"path": str(tmp_path)}})
    with pytest.raises(ValueError, match="path: must be set"):
        Settings(origins=origins, cache={"disk": {"bytes": "1GiB"}})


def test_an_alternate_that_is_made_in_another_way_is_another_one(tmp_path: Path) -> None:
    from proxy.frame.key import FrameKey
    from proxy.service.tiers import made_from
    from proxy.wire.resource import FrameResource

    key = FrameKey("origin", b"", FrameResource("1", "2", "3", 1), frames_path="/jls/")

    def made(**alternate: Any) -> str:
        given = {"jls": {"path": "/jls/", "codec": "jpegls", **alternate}}
        return made_from(Settings(origins=[{"url": "http://x"}], alternates=given))(key)

    assert made(near=1) != made(near=2)
    assert made(near=1) == made(near=1)


async def test_the_rest_of_a_listed_frame_comes_from_the_disk(on_disk: dict[str, Any]) -> None:
    origin = ScriptedOrigin()
    paths = [FRAME, FRAME.removesuffix("1") + "2"]
    origin.frames = dict(zip(paths, (BODY, codestream(400_000, seed=2)), strict=True))
    async with house(origin, **on_disk) as home:
        for path in paths:
            await home.viewer.get(path, headers=SINGLE)
        await home.until_written()
    before = len(origin.frame_requests)
    async with house(origin, **on_disk) as home:
        answer: httpx.Response = await home.viewer.get(f"{FRAME},2")
        assert all(body in answer.content for body in origin.frames.values())
        assert len(origin.frame_requests) == before

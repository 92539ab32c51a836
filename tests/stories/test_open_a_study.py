"""A study that was seen before opens without the origin: search, metadata and the first picture."""

import json

import pytest

from tests.house import cache_did
from tests.scripted_origin import SERIES, UID, Asked, Reply, ScriptedOrigin, codestream, etag_of, frame_of
from tests.stories.test_studies import Open, opened

pytestmark = pytest.mark.anyio

STUDY = f"/studies/{UID}.1"
SEARCH, METADATA = f"{STUDY}/series?includefield=all", f"{SERIES}/metadata"
FIRST = {"accept": "image/jphc", "range": "bytes=0-65535"}
WAY = (SEARCH, METADATA)


class Pacs(ScriptedOrigin):
    """Has one series, and confirms lists and metadata by their ETags."""

    def __init__(self) -> None:
        super().__init__(script=self._answer)
        self.is_gone = False
        self.with_series([codestream(200_000, seed) for seed in range(3)])
        self.metadata[SEARCH] = json.dumps([{"0020000E": {"vr": "UI", "Value": [f"{UID}.2"]}}]).encode()

    def _answer(self, asked: Asked) -> Reply | None:
        body = self.metadata.get(asked.path)
        if self.is_gone and asked.path.startswith(STUDY):
            return Reply(404, {"content-type": "text/plain"}, (b"gone",))
        if body is None:
            return None
        tag = {"etag": etag_of(body)}
        if asked.headers.get("if-none-match") == tag["etag"]:
            return Reply(304, tag)
        return Reply(200, {"content-type": "application/dicom+json"} | tag, (body,))

    def conditions(self) -> list[tuple[str, bool]]:
        """The requests so far: the path of each, and if it had a condition."""
        return [(asked.path, "if-none-match" in asked.headers) for asked in self.asked_after_greeting]


async def seen(at: Open) -> list[str]:
    """Opens the study as a viewer does, and returns what the cache did for each step."""
    answers = [await at.get(path) for path in WAY]
    answers.append(await at.home.viewer.get(frame_of(0), headers=FIRST))
    assert [answer.status_code for answer in answers] == [200, 200, 206]
    assert answers[-1].content == codestream(200_000, 0)[:65536]
    await at.home.until_idle()
    return [cache_did(answer) for answer in answers]


async def test_within_its_time_a_study_that_was_seen_opens_without_a_request() -> None:
    origin = Pacs()
    async with opened(origin) as at:
        assert await seen(at) == ["fwd=miss; stored"] * 3
        origin.asked.clear()
        at.now += 29
        assert await seen(at) == ["hit; ttl=1", "hit; ttl=1", "hit"]
        assert origin.asked == []


async def test_after_its_time_each_list_costs_one_conditional_request_and_no_wait() -> None:
    origin = Pacs()
    async with opened(origin) as at:
        await seen(at)
        origin.asked.clear()
        at.now += 31
        assert await seen(at) == ["hit; ttl=-1", "hit; ttl=-1", "hit"]
        assert sorted(origin.conditions()) == sorted((path, True) for path in WAY)
        assert await seen(at) == ["hit; ttl=30", "hit; ttl=30", "hit"]
        assert len(origin.asked) == len(WAY)


async def test_much_later_it_waits_for_one_conditional_request_for_each_list() -> None:
    origin = Pacs()
    async with opened(origin) as at:
        await seen(at)
        origin.asked.clear()
        at.now += 331
        assert await seen(at) == ["fwd=stale; fwd-status=304"] * 2 + ["hit"]
        assert sorted(origin.conditions()) == sorted((path, True) for path in WAY)


async def test_the_frames_of_a_study_that_is_deleted_at_the_origin_go_with_its_metadata() -> None:
    origin = Pacs()
    async with opened(origin) as at:
        await seen(at)
        origin.is_gone = True
        at.now += 31
        assert (await at.get(METADATA)).status_code == 200  # the origin is asked behind
        for path, headers in ((METADATA, {}), (SEARCH, {}), (frame_of(0), FIRST)):
            answer = await at.home.viewer.get(path, headers=headers)
            assert answer.status_code == 404


async def test_an_origin_without_lists_for_studies_loses_no_frames_by_that() -> None:
    async with opened(Pacs()) as at:
        await seen(at)
        for _ in range(2):
            assert (await at.get(f"{STUDY}/metadata")).status_code == 404
        assert cache_did(await at.home.viewer.get(frame_of(0), headers=FIRST)) == "hit"

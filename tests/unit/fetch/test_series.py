"""The frames of a series: their order, their places, and how long a list is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.caller import ASKED
from proxy.cache.memory import MemoryStore
from proxy.errors import OriginError, OriginFailed, OriginMismatch, OriginRefused, OriginUnreachable
from proxy.fetch.metadata import Metadata
from proxy.fetch.series import MOST_FRAMES, MOST_KEPT, SeriesFrames, SeriesLists, frames_of, read_frames
from proxy.frame.key import FrameKey, SeriesKey
from proxy.origin.client import Origin
from proxy.origin.transport import Transport
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.display import DisplayWindow
from proxy.wire.instance import InstanceReader
from proxy.wire.json_in_windows import WINDOW
from proxy.wire.resource import FrameResource
from tests.house import PATIENCE, STORY
from tests.scripted_origin import SERIES, UID, Asked, Reply, ScriptedOrigin, codestream, instance_of, running

KEY = SeriesKey("pacs", b"", f"{UID}.1", f"{UID}.2")
AXIAL = [1, 0, 0, 0, 1, 0]


def read(*instances: dict[str, Any]) -> SeriesFrames:
    return read_frames(KEY, [json.dumps(instances).encode()])


def test_slices_come_along_their_normal_and_not_by_number() -> None:
    frames = read(
        instance_of("1.3", number=1, position=[0, 0, 7.5], orientation=AXIAL),
        instance_of("1.1", number=2, position=[0, 0, -2], orientation=AXIAL),
        instance_of("1.2", number=3, position=[0, 0, 0.5], orientation=AXIAL),
    )
    assert frames.instances == ("1.1", "1.2", "1.3")


def test_without_positions_they_come_by_instance_number_and_not_as_text() -> None:
    frames = read(*(instance_of(f"1.{number}", number=str(number)) for number in (10, 9, 100)))
    assert frames.instances == ("1.9", "1.10", "1.100")


def test_without_either_they_come_as_the_origin_lists_them() -> None:
    assert read(*(instance_of(f"1.{number}") for number in (3, 1, 2))).instances == ("1.3", "1.1", "1.2")


def test_a_long_body_is_read_in_windows_with_the_same_result() -> None:
    """The first instance alone is longer than a window. It has a window of its own for each frame."""
    other = {f"0010{number:04X}": {"vr": "LO", "Value": ["x" * 40]} for number in range(20)}

    def group(number: int) -> dict[str, Any]:
        shown = {
            "00281050": {"vr": "DS", "Value": [number]},
            "00281051": {"vr": "DS", "Value": [400 + number]},
        }
        return {"00289132": {"vr": "SQ", "Value": [shown | other]}} | other

    groups = {"52009230": {"vr": "SQ", "Value": [group(number) for number in range(200)]}}
    pixel = {tag: {"vr": "US", "Value": [16]} for tag in ("00280010", "00280011", "00280100")}
    long = instance_of("1.1", number=9, frames=200) | other | groups | pixel
    instances = [
        long,
        *(instance_of(f"1.{number}", number=number) | other for number in range(200, 2, -1)),
        7,
    ]
    body = json.dumps(instances).encode()
    chunks = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
    found = read_frames(KEY, chunks)
    assert len(body) > 3 * WINDOW
    assert found == frames_of(KEY, list(map(InstanceReader().read, instances)))
    assert found.display_of(FrameResource(KEY.study, KEY.series, "1.1", 3)).window == DisplayWindow(2, 402)


def test_an_instance_of_several_frames_has_as_many_places() -> None:
    frames = read(
        instance_of("1.2", number=2),
        instance_of("1.1", number=1, frames="3"),
        instance_of("1.3", number=3, frames=2),
    )
    assert len(frames) == 6
    named = [(frames.resource(place).instance, frames.resource(place).frame_number) for place in range(6)]
    assert named == [("1.1", 1), ("1.1", 2), ("1.1", 3), ("1.2", 1), ("1.3", 1), ("1.3", 2)]
    assert frames.resource(0) == FrameResource(f"{UID}.1", f"{UID}.2", "1.1", 1)


@pytest.mark.parametrize("frames", ["", "0", "-1", "1_0", "two", 1.5, None, [], "9" * 40, {"a": 1}])
def test_a_number_of_frames_that_is_none_counts_as_one(frames: object) -> None:
    assert len(read(instance_of("1.1", frames=frames))) == 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_each_place_is_found_again_by_its_frame(counts: list[int]) -> None:
    frames = read(*(instance_of(f"1.{n}", number=n, frames=count) for n, count in enumerate(counts, 1)))
    assert len(frames) == sum(counts)
    resources = [frames.resource(place) for place in range(len(frames))]
    assert [frames.place_of(resource) for resource in resources] == list(range(len(frames)))
    assert len(set(resources)) == len(frames)


@pytest.mark.parametrize(("instance", "number"), [("1.9", 1), ("1.1", 4), ("1.2", 2), ("", 1)])
def test_a_frame_that_is_not_of_the_series_has_no_place(instance: str, number: int) -> None:
    frames = read(instance_of("1.1", number=1, frames=3), instance_of("1.2", number=2))
    assert frames.place_of(FrameResource(KEY.study, KEY.series, instance, number)) is None


def test_a_frame_of_another_series_has_no_place() -> None:
    assert read(instance_of("1.1")).place_of(FrameResource(KEY.study, "1.2", "1.1", 1)) is None


def test_modality_and_transfer_syntax_are_those_of_the_first_slice() -> None:
    frames = read(
        instance_of("1.2", number=2, modality="PT"),
        instance_of("1.1", number=1, modality="CT", syntax="1.2.840.10008.1.2.4.202"),
    )
    assert (frames.modality, frames.transfer_syntax) == ("CT", "1.2.840.10008.1.2.4.202")
    assert (read(instance_of("1.1")).modality, read(instance_of("1.1")).transfer_syntax) == ("", "")


@pytest.mark.parametrize(
    "metadata",
    [
        *(None, 3, "text", {}, [], [3], [None], [[]], [{}], [{"00080018": {"Value": []}}], [{"00080018": 5}]),
        [{"00080018": {"Value": ["../1"]}}],
    ],
)
def test_what_lists_no_instance_is_refused(metadata: object) -> None:
    with pytest.raises(OriginMismatch, match="the series metadata"):
        read_frames(KEY, [json.dumps(metadata).encode()])


@pytest.mark.parametrize("uid", ["", "a~", "1..2", "..", "../1", "1/2", "1" * 65, "1?x", "1.2%2f", "1 2", {}])
def test_an_instance_whose_uid_is_none_costs_the_others_nothing(uid: Any) -> None:
    frames = read(instance_of("1.1", number=2, frames=2), instance_of(uid), instance_of("1.2", number=1))
    assert (frames.instances, frames.ends) == (("1.2", "1.1"), (1, 3))


@pytest.mark.parametrize("uid", ["1.2.ABC-7_x", "a", "frames", "1.2.840.113619.2.a1b2-c3_D4"])
def test_an_instance_whose_uid_has_letters_is_kept_as_it_is_spelled(uid: str) -> None:
    frames = read(instance_of("1.1", number=1), instance_of(uid, number=2))
    assert frames.resource(1) == FrameResource(KEY.study, KEY.series, uid, 1)


@pytest.mark.parametrize("what", [3, None, "text", []])
def test_what_is_no_instance_costs_the_others_nothing(what: Any) -> None:
    assert read(instance_of("1.1"), what).instances == ("1.1",)


@pytest.mark.parametrize("value", [10**400, "1e999", "nan", float("inf")])
def test_a_position_that_is_no_number_costs_the_order_of_places_and_nothing_else(value: Any) -> None:
    places = [[0, 0, 5], [0, 0, value], [0, 0, 1]]
    frames = read(
        *(
            instance_of(f"1.{n}", number=n, position=place, orientation=AXIAL)
            for n, place in enumerate(places)
        )
    )
    assert frames.instances == ("1.0", "1.1", "1.2")


def test_more_frames_than_are_taken_are_refused() -> None:
    assert len(read(instance_of("1.1", frames=MOST_FRAMES - 1), instance_of("1.2"))) == MOST_FRAMES == 100_000
    for counts in ((MOST_FRAMES, 1), (999_999_999,)):
        with pytest.raises(OriginMismatch, match="more than 100000 frames") as caught:
            read(*(instance_of(f"1.{n}", number=n, frames=count) for n, count in enumerate(counts)))
        assert caught.value.reason == "metadata"


async def site_at(url: str) -> Origin:
    telemetry = await asyncio.to_thread(Telemetry)  # reads its version from a file
    return Origin("pacs", url, Transport(PATIENCE), telemetry, 1024 * 1024, forwards=1)


@asynccontextmanager
async def lists_at(origin: ScriptedOrigin) -> AsyncIterator[SeriesLists]:
    """The lists that the proxy has of an origin on real sockets."""
    async with asyncio.timeout(STORY), running(origin):
        site = await site_at(origin.url)
        store = MemoryStore(1 << 30, 0.5, 3600.0, await asyncio.to_thread(Telemetry))
        lists = SeriesLists(Metadata({"pacs": site}, store.room))
        try:
            yield lists
        finally:
            lists.close()
            await site.aclose()


def three() -> ScriptedOrigin:
    return ScriptedOrigin().with_series([codestream(100)] * 3)


@pytest.mark.anyio
async def test_a_list_is_asked_for_once_and_kept() -> None:
    async with lists_at(three()) as lists:
        assert lists.held(KEY) is None
        frames = await lists.get(KEY, ())
        assert len(frames) == 3
        assert await lists.get(KEY, ()) is frames
        assert lists.held(KEY) is frames


@pytest.mark.anyio
async def test_many_who_ask_at_once_are_one_request_and_who_leaves_stops_nobody() -> None:
    barrier, origin = asyncio.Event(), three()
    metadata = origin.metadata[f"{SERIES}/metadata"]
    origin.script = lambda asked: Reply(200, {}, (metadata[:50], barrier, metadata[50:]))
    async with lists_at(origin) as lists:
        many = [asyncio.ensure_future(lists.get(KEY, ())) for _ in range(20)]
        while not origin.asked:
            await asyncio.sleep(0)
        many[0].cancel()
        await asyncio.wait([many[0]])
        assert lists.held(KEY) is None
        barrier.set()
        assert {len(frames) for frames in await asyncio.gather(*many[1:])} == {3}
        assert len(origin.asked) == 1


@pytest.mark.anyio
async def test_credentials_are_apart_and_handed_on() -> None:
    origin = three()
    async with lists_at(origin) as lists:
        for partition, token in ((b"a", "Bearer a"), (b"b", "Bearer b"), (b"a", "Bearer a")):
            key = SeriesKey("pacs", partition, KEY.study, KEY.series)
            assert (await lists.get(key, [("authorization", token)])).key == key
        assert [asked.headers["authorization"] for asked in origin.asked] == ["Bearer a", "Bearer b"]
        assert origin.asked[0].headers["accept"] == "application/dicom+json"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(401, {}), OriginRefused),
        (Reply(404, {}), OriginRefused),
        (Reply(500, {}), OriginFailed),
        (Reply(204, {}), OriginFailed),
        (Reply(302, {"location": "/"}), OriginFailed),
        (Reply(200, {}, (b"<html>",)), OriginMismatch),
        (Reply(200, {}, (b"",)), OriginMismatch),
        (Reply(200, {}, (b"\xff\xfe\x00",)), OriginMismatch),
        (Reply(200, {}, (b"[]",)), OriginMismatch),
        (Reply(200, {}, (b'[{"00080018": {"Value": ["x y"]}}]',)), OriginMismatch),
        (Reply(200, {}, (b" " * (1024 * 1024 + 1),)), OriginMismatch),
    ],
)
async def test_an_error_is_told_and_not_kept(reply: Reply, error: type[OriginError]) -> None:
    origin = three()
    is_bad = True
    origin.script = lambda asked: reply if is_bad else None
    async with lists_at(origin) as lists:
        with pytest.raises(error):
            await lists.get(KEY, ())
        assert lists.held(KEY) is None
        is_bad = False
        assert len(await lists.get(KEY, ())) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b"[" + b"1" * 5000 + b"]",
    ],
    ids=["deep", "long"],
)
async def test_json_that_is_a_trap_is_refused(body: bytes) -> None:
    origin = ScriptedOrigin(script=lambda asked: Reply(200, {}, (body,)))
    async with lists_at(origin) as lists:
        with pytest.raises(OriginMismatch):
            await lists.get(KEY, ())


@pytest.mark.anyio
async def test_an_origin_that_is_down_is_told() -> None:
    origin = three()
    async with lists_at(origin) as lists:
        await origin.stop()
        with pytest.raises(OriginUnreachable):
            await lists.get(KEY, ())


@pytest.mark.anyio
async def test_no_more_lists_are_kept_than_the_limit() -> None:
    def script(asked: Asked) -> Reply:
        return Reply(200, {}, (json.dumps([instance_of("1.1")]).encode(),))

    origin = ScriptedOrigin(script=script)
    async with lists_at(origin) as lists:
        keys = [SeriesKey("pacs", b"", "1.2", f"1.{number}") for number in range(MOST_KEPT + 1)]
        for key in keys:
            await lists.get(key, ())
        assert lists.held(keys[0]) is None
        assert all(lists.held(key) is not None for key in keys[1:])


@pytest.mark.anyio
async def test_facts_are_asked_for_in_the_background() -> None:
    barrier, origin = asyncio.Event(), three()
    metadata = origin.metadata[f"{SERIES}/metadata"]
    origin.script = lambda asked: Reply(200, {}, (metadata[:50], barrier, metadata[50:]))
    async with lists_at(origin) as lists:
        assert lists.facts(KEY, ()) is None
        assert lists.facts(KEY, ()) is None
        barrier.set()
        await lists.get(KEY, ())
        facts = lists.facts(KEY, ())
        assert facts is not None
        assert facts.frames == 3
        assert len(origin.asked) == 1


@pytest.mark.anyio
async def test_facts_that_could_not_be_had_are_asked_for_again() -> None:
    origin = three()
    is_bad = True
    origin.script = lambda asked: Reply(500, {}) if is_bad else None
    async with lists_at(origin) as lists:
        with pytest.raises(OriginFailed):
            await lists.get(KEY, ())
        is_bad = False
        assert lists.facts(KEY, ()) is None
        while lists.facts(KEY, ()) is None:
            await asyncio.sleep(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize(("frames", "has"), [(None, None), (1, None), (3, False), (4, True), (9, True)])
async def test_whether_a_frame_is_there_is_said_by_metadata_that_is_at_hand(
    frames: int | None, has: bool | None
) -> None:
    said = instance_of("1.1", **({} if frames is None else {"frames": frames}))
    origin = ScriptedOrigin(metadata={f"{SERIES}/metadata": json.dumps([said]).encode()})
    fourth, other = (
        FrameKey("pacs", b"", FrameResource(KEY.study, KEY.series, uid, 4)) for uid in ("1.1", "1.2")
    )
    async with lists_at(origin) as lists:
        assert lists.has(fourth) is None
        await lists.get(KEY, ())
        assert (lists.has(fourth), lists.has(other)) == (has, None)
        assert len(origin.asked) == 1


@pytest.mark.anyio
async def test_a_refusal_of_one_caller_is_none_of_another_that_waited() -> None:
    origin = three()
    origin.script = lambda asked: Reply(403, {}) if asked.headers.get("authorization") == "a" else None
    key = replace(KEY, partition=ASKED)
    async with lists_at(origin) as lists:
        refused, read = await asyncio.gather(
            lists.get(key, [("authorization", "a")]),
            lists.get(key, [("authorization", "b")]),
            return_exceptions=True,
        )
        assert isinstance(refused, OriginRefused)
        assert isinstance(read, SeriesFrames)


@pytest.mark.anyio
async def test_a_caller_that_may_not_share_asks_for_itself() -> None:
    origin = three()
    key = replace(KEY, partition=ASKED)
    async with lists_at(origin) as lists:
        await lists.get(key, [("authorization", "a")])
        origin.script = lambda asked: Reply(403, {}) if asked.headers.get("authorization") == "b" else None
        with pytest.raises(OriginRefused):
            await lists.get(key, [("authorization", "b")], may_share=False)
        assert lists.held(key) is not None

"""Alternates: made once for all viewers, from as few bytes as possible, and served like any frame."""

import asyncio
import json
from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.codecs.transcode import averaged
from proxy.wire.multipart import wrap
from tests.codestreams import PARTS, htj2k, picture
from tests.house import cache_did, house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

PLAIN = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
ROWS, COLUMNS = 200, 301
PIXELS = picture(ROWS, COLUMNS)
ALTERNATES: dict[str, Any] = {
    "jls": {"path": "/jls/", "codec": "jpegls"},
    "jlsThumbnail": {"path": "/jlsThumbnail/", "codec": "jpegls", "scale": "1/16 area"},
    "htj2k": {"path": "/htj2k/"},
    "thumbnail": {"path": "/htj2kThumbnail/", "scale": "≤ 100"},
}
MULTIPART = {"accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}


def described(
    origin: ScriptedOrigin, syntax: str = "", more: dict[str, Any] | None = None, series: str = SERIES
) -> ScriptedOrigin:
    """The origin with metadata that describes the pixels of a series."""
    tags: dict[str, Any] = {
        "00280010": ROWS,
        "00280011": COLUMNS,
        "00280100": 16,
        "00280101": 16,
        "00280103": 0,
    }
    tags |= {"00280002": 1, "00280004": "MONOCHROME2"} | ({"00083002": syntax} if syntax else {})
    tags |= more or {}
    path = f"{series}/metadata"
    instances = json.loads(origin.metadata[path])
    for instance in instances:
        instance |= {tag: {"vr": "??", "Value": [value]} for tag, value in tags.items()}
    origin.metadata[path] = json.dumps(instances).encode()
    return origin


def uncompressed(images: int = 1, script: Any = None) -> ScriptedOrigin:
    """An origin whose frames are not HTJ2K."""
    bodies = [(PIXELS + image).astype("<u2").tobytes() for image in range(images)]

    def answer(asked: Asked) -> Reply | None:
        told = script(asked) if script else None
        body = origin.frames.get(asked.path.partition("?")[0])
        return told or (None if body is None else honest(body, asked, label=PLAIN))

    origin = described(ScriptedOrigin(script=answer).with_series(bodies), "1.2.840.10008.1.2.1")
    return origin


def at(path: str, image: int = 0) -> str:
    return frame_of(image).replace("/frames/", path)


async def test_a_frame_is_made_into_what_viewers_ask_for() -> None:
    async with house(uncompressed(), alternates=ALTERNATES) as home:
        whole = await home.viewer.get(at("/jls/"), headers={"accept": "image/jls"})
        small = await home.viewer.get(at("/jlsThumbnail/"), headers={"accept": "image/jls"})
        again = await home.viewer.get(at("/htj2k/"), headers={"accept": "image/jphc"})
        assert whole.headers["content-type"] == "image/jls;transfer-syntax=1.2.840.10008.1.2.4.80"
        assert again.headers["content-type"] == "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"
        assert np.array_equal(imagecodecs.jpegls_decode(whole.content), PIXELS)
        assert np.array_equal(imagecodecs.jpegls_decode(small.content), averaged(PIXELS, 4))
        assert np.array_equal(decode_htj2k(again.content), PIXELS)
        assert small.headers["resolution"] == "76x50"
        assert len(again.headers["resolution-ends"].split(", ")) == 6
        thumbnail = await home.viewer.get(at("/htj2kThumbnail/"), headers={"accept": "image/jphc"})
        assert decode_htj2k(thumbnail.content).shape == (50, 76)
        assert home.origin.ranges[0] is None
        assert len(home.origin.frame_requests) == 1, "a cached frame was fetched again"


async def test_an_alternate_is_made_once_for_all_who_ask_and_kept() -> None:
    held = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, label=PLAIN, before=(held,)) if body else None

    origin = uncompressed(script=script)
    async with house(origin, alternates=ALTERNATES) as home:
        asking = [asyncio.create_task(home.viewer.get(at("/jls/"), headers=MULTIPART)) for _ in range(5)]
        await home.until(lambda: len(origin.frame_requests) == 1 and home.door.inside == 5)
        held.set()
        answers = await asyncio.gather(*asking)
        assert len({answer.content for answer in answers}) == 1
        assert sorted(map(cache_did, answers)) == [*["fwd=miss; collapsed"] * 4, "fwd=miss; stored"]
        part = await home.viewer.get(at("/jls/"), headers=MULTIPART | {"range": "bytes=500-999"})
        assert (part.status_code, part.content, cache_did(part)) == (206, answers[0].content[500:1000], "hit")
        tag = {"if-none-match": answers[0].headers["etag"]}
        assert (await home.viewer.get(at("/jls/"), headers=MULTIPART | tag)).status_code == 304
        assert len(origin.frame_requests) == 1


async def test_of_htj2k_a_smaller_picture_takes_its_first_bytes_alone() -> None:
    body = htj2k(picture(1024, 1024), **PARTS)
    origin = described(ScriptedOrigin().with_series([body]), more={"00280010": 1024, "00280011": 1024})
    async with house(origin, alternates=ALTERNATES) as home:
        cut = await home.viewer.get(at("/htj2kThumbnail/"), headers={"accept": "image/jphc"})
        assert np.array_equal(decode_htj2k(cut.content), decode_htj2k(body, 4))
        asked = await home.viewer.get(
            at("/htj2kThumbnail/") + "?fsiz=200,200", headers={"accept": "image/jphc"}
        )
        assert np.array_equal(decode_htj2k(asked.content), decode_htj2k(body, 2)), "not the requested size"
        jls = await home.viewer.get(at("/jlsThumbnail/"), headers={"accept": "image/jls"})
        assert np.array_equal(imagecodecs.jpegls_decode(jls.content), decode_htj2k(body, 2))
        brought = home.metric("origin_bytes_total", origin="pacs", stage="first")
        brought += home.metric("origin_bytes_total", origin="pacs", stage="completion")
        assert brought < len(body) / 4
        whole = await home.viewer.get(at("/htj2k/"), headers={"accept": "image/jphc"})
        assert whole.content == body, "HTJ2K in order of resolution is not changed"


async def test_where_the_origin_has_it_nothing_is_made() -> None:
    own = codestream_of_its_own()
    offered = ALTERNATES | {"jls": ALTERNATES["jls"] | {"made": "if-missing"}}

    def script(asked: Asked) -> Reply | None:
        if asked.path == at("/jls/", 0):
            return honest(own, asked, label="image/jls; transfer-syntax=1.2.840.10008.1.2.4.80")
        return None

    origin = uncompressed(2, script)
    async with house(origin, alternates=offered) as home:
        theirs = await home.viewer.get(at("/jls/", 0), headers={"accept": "image/jls"})
        assert theirs.content == own
        ours = await home.viewer.get(at("/jls/", 1), headers={"accept": "image/jls"})
        assert np.array_equal(imagecodecs.jpegls_decode(ours.content), PIXELS + 1)


def codestream_of_its_own() -> bytes:
    return bytes(imagecodecs.jpegls_encode(PIXELS[::-1].copy()))


async def test_an_alternate_that_is_never_made_is_the_origins_own_or_not_there() -> None:
    offered = {"jls": {"path": "/jls/", "made": "never"}}
    async with house(uncompressed(), alternates=offered) as home:
        answer = await home.viewer.get(at("/jls/"), headers={"accept": "image/jls"})
        assert answer.status_code == 404


async def test_what_there_can_be_no_alternate_of_is_said() -> None:
    origin = described(uncompressed(), more={"00280100": 32})
    async with house(origin, alternates=ALTERNATES) as home:
        answer = await home.viewer.get(at("/jls/"), headers={"accept": "image/jls"})
        assert (answer.status_code, answer.json()["title"]) == (404, "NotMade")
        assert "32 bits" in answer.json()["detail"]


async def test_garbage_costs_its_own_viewer_an_error_and_nobody_else_anything() -> None:
    label = "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"

    def script(asked: Asked) -> Reply | None:
        return (
            honest(b"\xff\xd8\xff\xf7 no JPEG-LS" * 99, asked, label=label)
            if asked.path == frame_of(0)
            else None
        )

    async with house(uncompressed(2, script), alternates=ALTERNATES) as home:
        bad, good = await asyncio.gather(
            *(home.viewer.get(at("/jls/", image), headers={"accept": "image/jls"}) for image in range(2))
        )
        assert (bad.status_code, bad.json()["title"]) == (502, "CodestreamError")
        assert good.status_code == 200
        assert len(home.app.workers.running) <= 2
    assert not home.app.workers.running


async def test_a_plan_finds_its_alternates_ready_for_viewers() -> None:
    origin = uncompressed(4)
    async with house(origin, alternates=ALTERNATES) as home:
        plan = await home.begin_plan("jlsReduced")
        assert (await home.events(plan))[-1][1]["state"] == "done"
        for image in range(4):
            for path in ("/jls/", "/jlsThumbnail/"):
                answer = await home.viewer.get(at(path, image), headers={"accept": "image/jls"})
                assert (answer.status_code, cache_did(answer)) == (200, "hit")
        assert len(origin.frame_requests) == 4


async def test_an_alternate_follows_its_frame_to_a_new_version() -> None:
    origin = uncompressed()
    async with house(origin, alternates=ALTERNATES, cache={"ttl": 0.001, "stale": 0}) as home:
        first = await home.viewer.get(at("/jls/"), headers={"accept": "image/jls"})
        origin.frames[frame_of(0)] = (PIXELS + 7).astype("<u2").tobytes()
        await home.until_idle()
        await home.until(lambda: not home.metric("cache_bytes", part="first"))
        second = await home.viewer.get(at("/jls/"), headers={"accept": "image/jls"})
        assert first.headers["etag"] != second.headers["etag"]
        assert np.array_equal(imagecodecs.jpegls_decode(second.content), PIXELS + 7)


async def test_how_an_alternate_is_asked_for_is_learned_apart_from_frames() -> None:
    own = codestream_of_its_own()

    def script(asked: Asked) -> Reply | None:
        is_jls, accept = "/jls/" in asked.path, asked.headers["accept"]
        if "/frames/" in asked.path and accept != "image/jphc":
            return Reply(406, {})
        if is_jls and accept != "application/octet-stream; transfer-syntax=*":
            return Reply(406, {})
        return honest(own, asked, label="image/jls") if is_jls else None

    images = range(5)
    origin = ScriptedOrigin(script=script).with_series(
        [htj2k(picture(64, 64, seed=i), **PARTS) for i in images]
    )
    async with house(origin, alternates={"jls": {"path": "/jls/", "made": "never"}}) as home:
        for image in images:
            for path in ("/frames/", "/jls/"):
                answer = await home.viewer.get(at(path, image), headers={"accept": "image/*"})
                assert answer.status_code == 200
        assert [origin.requests_of(at("/frames/", image)) for image in images] == [1] * 5
        assert [origin.requests_of(at("/jls/", image)) for image in images][1:] == [1] * 4


@pytest.mark.parametrize(("label", "in_vain"), [("image/jls", 0), ("application/octet-stream", 3)])
async def test_ranges_of_parts_that_do_not_tell_their_length_are_given_up(label: str, in_vain: int) -> None:
    """If the label says JPEG-LS, the proxy never requests a range."""
    own, boundary = bytes(imagecodecs.jpegls_encode(picture(400, 400))), "b"
    assert len(own) > 65536
    media = f'multipart/related; type="{label}"; boundary=b'

    def script(asked: Asked) -> Reply | None:
        if "/jls/" not in asked.path:
            return None
        if "multipart" not in asked.headers["accept"]:
            return Reply(406, {})
        wrapping = wrap(boundary, label)
        return honest(wrapping.before + own + wrapping.after, asked, label=media)

    origin = ScriptedOrigin(script=script).with_series([b""] * 9)
    async with house(origin, alternates={"jls": {"path": "/jls/", "made": "never"}}) as home:
        for image in range(9):
            answer = await home.viewer.get(at("/jls/", image), headers={"accept": label})
            assert answer.content == own
            await home.until_idle()
        assert home.metric("mismatches_total", origin="pacs", reason="multipart") == in_vain


async def test_an_archives_own_representation_goes_before_one_that_is_made() -> None:
    """Although nothing is said but the path."""
    own = codestream(5000)

    def script(asked: Asked) -> Reply | None:
        return honest(own, asked) if "/htj2k/" in asked.path else None

    origin = uncompressed()
    origin.script = script
    async with house(origin, alternates={"htj2k": {"path": "/htj2k/"}}) as home:
        found = await home.viewer.get(at("/htj2k/"), headers={"accept": "image/jphc"})
        assert found.content == own

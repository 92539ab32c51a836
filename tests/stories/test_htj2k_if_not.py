"""`frames: htj2k-if-not`: any archive becomes progressive behind the proxy, at the plain path of frames."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.wire.media import HTJ2K_RPCL
from tests.codestreams import PARTS, htj2k, picture
from tests.guarded_origin import GuardedOrigin, guarded
from tests.house import House, cache_did, house
from tests.scripted_origin import LABEL, SERIES, Asked, Reply, ScriptedOrigin, frame_of, honest
from tests.stories.test_alternates import COLUMNS, PIXELS, ROWS, described
from tests.stories.test_disk import settings_at
from tests.stories.test_plans import prefetching, until_plan_ended

pytestmark = pytest.mark.anyio

UID = "1.2.840.10008.1.2"
FRAME, METADATA = frame_of(0), f"{SERIES}/metadata"
CONVERTED: dict[str, Any] = {"origin": {"frames": "htj2k-if-not"}, "profile": "single"}
MADE = f"image/jphc;transfer-syntax={HTJ2K_RPCL}"
HTJ2K, ANY = "image/jphc", "application/octet-stream; transfer-syntax=*"
JLS, PLAIN = f"image/jls;transfer-syntax={UID}.4.80", f"application/octet-stream;transfer-syntax={UID}.1"
STORED = {
    "JPEG-LS": (JLS, bytes(imagecodecs.jpegls_encode(PIXELS))),
    "pixels": (PLAIN, PIXELS.astype("<u2").tobytes()),
    "JPEG 2000": (
        f"image/jp2;transfer-syntax={UID}.4.90",
        bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", level=0, reversible=True)),
    ),
}
Stored = tuple[str, bytes]


def answer(asked: Asked, stored: Mapping[str, Stored], *before: asyncio.Event) -> Reply | None:
    """The stored frame, for an Accept that takes it; 406 for others, and if HTJ2K is wanted."""
    if asked.path not in stored:
        return None
    label, body = stored[asked.path]
    accept = asked.headers["accept"]
    if accept not in (ANY, label.partition(";")[0]):
        return Reply(406, {"content-type": "text/plain"}, (b"not in this form",))
    return honest(body, asked, label=label, before=before)


def archive(*stored: Stored, more: dict[str, Any] | None = None) -> ScriptedOrigin:
    """An archive with one instance for each stored frame."""
    frames = {frame_of(image): each for image, each in enumerate(stored)}
    origin = ScriptedOrigin(script=lambda asked: answer(asked, frames))
    return described(origin.with_series([b""] * len(stored)), stored[0][0].rpartition("=")[2], more)


async def get(home: House, accept: str = HTJ2K, path: str = FRAME, **headers: str) -> httpx.Response:
    got = await home.viewer.get(path, headers={"accept": accept} | headers)
    await home.until_idle()
    return got


def accepts(origin: ScriptedOrigin, path: str = FRAME) -> list[str]:
    return [asked.headers["accept"] for asked in origin.frame_requests if asked.path == path]


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
async def test_htj2k_is_made_once_kept_and_ranged(stored: Stored) -> None:
    async with house(archive(stored), **CONVERTED) as home:
        first = await get(home)
        assert (first.status_code, first.headers["content-type"]) == (200, MADE)
        assert np.array_equal(decode_htj2k(first.content), PIXELS)
        assert len(first.headers["resolution-ends"].split(", ")) == 6
        asked = len(home.origin.frame_requests)
        for accept in (HTJ2K, "*/*", ANY):
            again = await get(home, accept)
            assert (cache_did(again), first.content in again.content) == ("hit", True)
        part = await get(home, range="bytes=1000-1999")
        assert (part.status_code, part.content) == (206, first.content[1000:2000])
        same = await get(home, **{"if-none-match": first.headers["etag"]})
        assert same.status_code == 304
        assert len(home.origin.frame_requests) == asked


async def test_after_the_first_frame_of_a_series_the_others_are_fetched_as_stored() -> None:
    images = 3
    async with house(archive(*[STORED["JPEG-LS"]] * images), **CONVERTED) as home:
        for image in range(images):
            assert (await get(home, path=frame_of(image))).headers["content-type"] == MADE
        assert [accepts(home.origin, frame_of(image)) for image in (1, 2)] == [[ANY]] * 2


async def test_viewers_at_once_wait_for_one_that_is_made() -> None:
    barrier, frames = asyncio.Event(), {FRAME: STORED["JPEG-LS"]}
    origin = archive(STORED["JPEG-LS"])
    origin.script = lambda asked: answer(asked, frames, barrier)
    async with house(origin, **CONVERTED) as home:
        asking = [asyncio.create_task(get(home)) for _ in range(5)]
        await home.until(lambda: ANY in accepts(origin) and home.door.inside == 5)
        barrier.set()
        answers = await asyncio.gather(*asking)
        assert len({each.content for each in answers}) == 1
        assert np.array_equal(decode_htj2k(answers[0].content), PIXELS)
        assert accepts(origin).count(ANY) == 2, "the first tells what is stored, the second is converted"


async def test_each_viewer_gets_the_form_that_it_accepts() -> None:
    label, body = STORED["JPEG-LS"]
    async with house(archive((label, body)), **CONVERTED) as home:
        for _ in range(2):
            made, stored = await get(home), await get(home, "image/jls")
            assert (made.headers["content-type"], stored.headers["content-type"]) == (MADE, label)
            assert stored.content == body
            preferred = await get(home, "image/jls, image/jphc;q=0.5")
            assert preferred.content == body
            assert (await get(home, "image/jphc, image/jls;q=0.5")).content == made.content


async def test_htj2k_of_the_origin_is_served_as_it_is() -> None:
    body = htj2k(picture(900, 900), **PARTS)
    origin = described(ScriptedOrigin().with_series([body]), HTJ2K_RPCL)
    async with house(origin, origin={"frames": "htj2k-if-not"}) as home:
        first = await get(home, range="bytes=0-65535")
        assert (first.status_code, first.content) == (206, body[:65536])
        assert (await get(home)).content == body
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]


async def test_a_series_may_have_both() -> None:
    body = htj2k(PIXELS, **PARTS)
    origin = archive(STORED["JPEG-LS"], (LABEL, body))

    def script(asked: Asked) -> Reply | None:
        if asked.path == frame_of(1):
            return honest(body, asked)
        return answer(asked, {FRAME: STORED["JPEG-LS"]})

    origin.script = script
    async with house(origin, **CONVERTED) as home:
        assert np.array_equal(decode_htj2k((await get(home)).content), PIXELS)
        assert (await get(home, path=frame_of(1))).content == body


async def test_lossy_frames_are_kept_as_exactly_as_they_were() -> None:
    pixels = picture(ROWS, COLUMNS, dtype="u1")
    jpeg = bytes(imagecodecs.jpeg8_encode(pixels, level=60))
    bits = {"00280100": 8, "00280101": 8}
    origin = archive((f"image/jpeg;transfer-syntax={UID}.4.50", jpeg), more=bits)
    async with house(origin, **CONVERTED) as home:
        made = await get(home)
        assert made.headers["content-type"] == MADE
        assert np.array_equal(decode_htj2k(made.content), imagecodecs.jpeg8_decode(jpeg))


BROKEN = JLS, STORED["JPEG-LS"][1][:200]
ONE_BIT = PLAIN, bytes(ROWS * COLUMNS // 8 + 1)


@pytest.mark.parametrize(
    ("stored", "more", "status"),
    [(BROKEN, {}, 502), (ONE_BIT, {"00280100": 1, "00280101": 1}, 406)],
    ids=["broken", "one bit"],
)
async def test_what_can_not_be_made_is_sent_as_it_is_stored_or_refused(
    stored: Stored, more: dict[str, Any], status: int
) -> None:
    async with house(archive(stored, more=more), **CONVERTED) as home:
        refused = await get(home)
        assert refused.status_code == status
        assert refused.headers["content-type"] == "application/problem+json"
        for accept in (ANY, f"image/jphc, {ANY};q=0.1"):
            got = await get(home, accept)
            assert (got.status_code, got.content) == (200, stored[1])
            assert got.headers["content-type"] == stored[0]
        wrapped = await get(home, "*/*")
        assert stored[1] in wrapped.content
        assert (await get(home)).status_code == status


async def test_a_frame_that_is_not_there_is_not_made() -> None:
    async with house(archive(STORED["JPEG-LS"]), **CONVERTED) as home:
        assert (await get(home, path=FRAME.replace("frames/1", "frames/9"))).status_code == 404


async def test_several_frames_are_made_too() -> None:
    origin = archive(STORED["JPEG-LS"])
    frames = {FRAME.replace("frames/1", f"frames/{number}"): STORED["JPEG-LS"] for number in (1, 2)}
    origin.script = lambda asked: answer(asked, frames)
    async with house(origin, **CONVERTED) as home:
        listed = await get(home, "*/*", FRAME.replace("frames/1", "frames/1,2"))
        assert listed.status_code == 200
        assert listed.content.count(MADE.encode()) == 2
        assert cache_did(await get(home, path=FRAME.replace("frames/1", "frames/2"))) == "hit"


async def test_a_plan_makes_a_series_before_it_is_looked_at() -> None:
    images = 4
    settings = prefetching(stages="sequential") | {"origin": {"frames": "htj2k-if-not"}}
    async with house(archive(*[STORED["JPEG-LS"]] * images), **settings) as home:
        assert (await get(home)).headers["content-type"] == MADE
        await until_plan_ended(home)
        for image in range(images):
            got = await get(home, path=frame_of(image))
            assert (cache_did(got), got.headers["content-type"]) == ("hit", MADE)


async def test_what_is_made_is_only_for_those_whom_the_origin_lets_read() -> None:
    origin = GuardedOrigin("a", "c", bodies=[b"", b""])
    described(origin, f"{UID}.4.80")
    frames = {frame_of(image): STORED["JPEG-LS"] for image in range(2)}
    origin.then = lambda asked: answer(asked, frames)
    async with guarded(origin, **CONVERTED) as at:
        made = await at.ask("a", FRAME)
        assert (made.status_code, made.headers["content-type"]) == (200, MADE)
        assert (await at.ask("a", FRAME, accept=ANY)).content == made.content
        for accept in (HTJ2K, ANY, "image/jls"):
            refused = await at.ask("b", FRAME, accept=accept)
            assert refused.status_code == 403
        let_in = await at.ask("c", FRAME)
        assert (let_in.content, cache_did(let_in)) == (made.content, "hit")
        # Not even from what is held as stored, of a frame that nobody has had in HTJ2K.
        assert (await at.ask("a", frame_of(1), accept="image/jls")).status_code == 200
        assert (await at.ask("b", frame_of(1))).status_code == 403
        origin.readers.remove("a")
        at.now += 61
        assert (await at.ask("a", FRAME)).status_code == 403
        assert (await at.ask("a", frame_of(1))).status_code == 403


async def test_a_purge_drops_what_was_made_and_what_it_was_made_of() -> None:
    async with house(archive(STORED["JPEG-LS"]), **CONVERTED) as home:
        await get(home)
        before = len(home.origin.frame_requests)
        assert (await home.admin.delete(f"/cache{FRAME.partition('/series/')[0]}")).status_code == 204
        assert home.metric("cache_bytes", part="first") == 0
        assert cache_did(await get(home)) == "fwd=miss; stored"
        assert len(home.origin.frame_requests) > before


async def test_what_was_made_comes_back_from_the_disk(tmp_path: Path) -> None:
    settings = settings_at(tmp_path) | CONVERTED
    origin = archive(STORED["JPEG-LS"])
    async with house(origin, **settings) as home:
        made = await get(home)
        await home.until_written()
    origin.asked.clear()
    async with house(origin, **settings) as home:
        again = await get(home)
        assert (again.content, cache_did(again)) == (made.content, "hit; detail=disk")
        assert origin.frame_requests == []
    async with house(origin, **(settings | {"origin": {}})) as home:  # now the stored frame is wanted
        assert (await get(home, ANY)).content == STORED["JPEG-LS"][1]


async def test_alternates_and_pictures_are_made_of_the_stored_frame() -> None:
    alternates = {"small": {"path": "/small/", "codec": "jpegls", "scale": "1/4"}}
    settings = CONVERTED | {"alternates": alternates}
    settings["origin"] = {"frames": "htj2k-if-not", "rendered": "proxy"}
    async with house(archive(STORED["JPEG-LS"]), **settings) as home:
        small = await get(home, "image/jls", FRAME.replace("/frames/", "/small/"))
        assert small.headers["resolution"] == "76x50"
        assert (await get(home, "image/png", f"{FRAME}/rendered")).status_code == 200
        assert (await get(home)).headers["content-type"] == MADE


def available(text: bytes) -> list[list[str]]:
    return [each["00083002"]["Value"] for each in json.loads(text)]


@pytest.mark.parametrize("cache", [{}, {"study_bytes": 0}], ids=["kept", "forwarded"])
async def test_metadata_names_the_form_that_viewers_get(cache: dict[str, Any]) -> None:
    async with house(archive(*[STORED["JPEG-LS"]] * 3), **CONVERTED, cache=cache) as home:
        first = await home.viewer.get(METADATA)
        assert available(first.content) == [[HTJ2K_RPCL, f"{UID}.4.80"]] * 3
        again = await home.viewer.get(METADATA)
        assert again.content == first.content
        if not cache:
            assert again.headers["etag"].startswith("W/")
            tag = {"if-none-match": again.headers["etag"]}
            assert (await home.viewer.get(METADATA, headers=tag)).status_code == 304
    async with house(archive(STORED["JPEG-LS"])) as home:  # without the setting nothing changes
        assert available((await home.viewer.get(METADATA)).content) == [[f"{UID}.4.80"]]


async def test_metadata_is_named_and_rewritten_at_once() -> None:
    origin = archive(STORED["JPEG-LS"])
    settings = CONVERTED | {
        "origin": {"frames": "htj2k-if-not", "rewrite": True},
        "listen": {"compress": "gzip"},
    }
    async with house(origin, **settings) as home:
        instances = json.loads(origin.metadata[METADATA])
        instances[0]["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{origin.url}{FRAME}"}
        origin.metadata[METADATA] = json.dumps(instances).encode()
        response = await home.viewer.get(METADATA, headers={"accept-encoding": "gzip"})
        (told,) = json.loads(response.content)
        assert response.headers["content-encoding"] == "gzip"
        assert told["00083002"]["Value"] == [HTJ2K_RPCL, f"{UID}.4.80"]
        assert told["7FE00010"]["BulkDataURI"].startswith(str(home.viewer.base_url).rstrip("/"))


def syntax_of(got: httpx.Response) -> str:
    return got.headers["content-type"].rpartition("transfer-syntax=")[2]


async def test_metadata_names_what_the_plain_path_sends_and_no_alternate_at_a_path_of_its_own() -> None:
    stored = {f"{UID}.4.80": STORED["JPEG-LS"]}
    alternates = {"htj2k": {"path": "/htj2k/"}, "lossy": {"path": "/lossy/", "codec": "jpegls", "near": 2}}
    for settings, named in (({}, [*stored]), (CONVERTED, [HTJ2K_RPCL, *stored])):
        async with house(archive(STORED["JPEG-LS"]), **settings, alternates=alternates) as home:
            assert available((await home.viewer.get(METADATA)).content) == [named]
            for syntax in named:  # what it names can be had there
                got = await get(home, HTJ2K if syntax == HTJ2K_RPCL else "image/jls")
                assert (got.status_code, syntax_of(got)) == (200, syntax)
            for path, syntax in (("/htj2k/", HTJ2K_RPCL), ("/lossy/", f"{UID}.4.81")):
                got = await get(home, "image/*", FRAME.replace("/frames/", path))
                assert (got.status_code, syntax_of(got)) == (200, syntax)

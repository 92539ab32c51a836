"""Rendered pictures and thumbnails that the proxy makes from few bytes, if a setting says so."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.codecs.render import scale, windowed
from proxy.wire.display import Display, DisplayWindow
from tests.codestreams import PARTS, Pixels, htj2k, picture
from tests.house import cache_did, house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin, frame_of, honest
from tests.stories.test_alternates import COLUMNS, PIXELS, PLAIN, ROWS, described, uncompressed

pytestmark = pytest.mark.anyio

OURS = {"rendered": "proxy"}
PNG = {"accept": "image/png"}
WINDOW: dict[str, Any] = {"00281050": 1500, "00281051": 2000}
SHOWN = windowed(PIXELS, Display(window=DisplayWindow(1500, 2000)))


def of(path: str, image: int = 0) -> str:
    """The path of a picture of an image."""
    return f"{frame_of(image)}/{path}"


def shown(answer: Any) -> Pixels:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    found: Pixels = imagecodecs.png_decode(answer.content)
    assert answer.headers["resolution"] == f"{found.shape[1]}x{found.shape[0]}"
    return found


def windowed_origin(images: int = 1, script: Any = None, **more: Any) -> ScriptedOrigin:
    return described(uncompressed(images, script), more=WINDOW | more)


async def test_pictures_are_the_origins_unless_a_setting_says_otherwise() -> None:
    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-type": "image/gif"}, (b"GIF89a",)) if "rendered" in asked.path else None

    async with house(windowed_origin(script=script)) as home:
        answer = await home.viewer.get(of("rendered"), headers=PNG)
        assert (answer.content, answer.headers["content-type"]) == (b"GIF89a", "image/gif")
        assert (await home.viewer.get(of("thumbnail"), headers=PNG)).status_code == 404


async def test_a_frame_is_shown_through_the_window_of_its_metadata_or_of_the_request() -> None:
    async with house(windowed_origin(), origin=OURS) as home:
        assert np.array_equal(shown(await home.viewer.get(of("rendered"), headers=PNG)), SHOWN)
        asked = await home.viewer.get(of("rendered?window=1800,99.5,sigmoid"), headers=PNG)
        sigmoid = Display(window=DisplayWindow(1800, 99.5, "sigmoid"))
        assert np.array_equal(shown(asked), windowed(PIXELS, sigmoid))
        small = await home.viewer.get(of("rendered?viewport=100,100"), headers=PNG)
        assert np.array_equal(shown(small), scale(SHOWN, (0, 0, COLUMNS, ROWS), (100, 66)))
        part = await home.viewer.get(of("rendered?viewport=20,20,10,20,-80,40"), headers=PNG)
        assert np.array_equal(shown(part), scale(SHOWN, (10, 20, -80, 40), (20, 10)))
        assert shown(await home.viewer.get(of("thumbnail"), headers=PNG)).shape == (85, 128)
        assert len(home.origin.frame_requests) == 1, "a cached frame was fetched again"


async def test_without_an_accept_it_is_a_jpeg_as_good_as_is_asked_for() -> None:
    async with house(windowed_origin(), origin=OURS) as home:
        best, worst = [await home.viewer.get(of(f"rendered?quality={quality}")) for quality in (100, 10)]
        assert {answer.headers["content-type"] for answer in (best, worst)} == {"image/jpeg"}
        assert np.abs(imagecodecs.jpeg8_decode(best.content).astype(int) - SHOWN).mean() < 1
        assert len(worst.content) < len(best.content) / 4
        by_query = await home.viewer.get(of("rendered?accept=image/png"))
        assert np.array_equal(shown(by_query), SHOWN)


async def test_a_picture_is_made_once_for_all_who_ask_and_kept() -> None:
    held = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, label=PLAIN, before=(held,)) if body else None

    origin = windowed_origin(script=script)
    async with house(origin, origin=OURS) as home:
        url = of("thumbnail")
        asking = [asyncio.create_task(home.viewer.get(url, headers=PNG)) for _ in range(5)]
        await home.until(lambda: len(origin.frame_requests) == 1 and home.door.inside == 5)
        held.set()
        answers = await asyncio.gather(*asking)
        assert len({answer.content for answer in answers}) == 1
        assert sorted(map(cache_did, answers)) == [*["fwd=miss; collapsed"] * 4, "fwd=miss; stored"]
        part = await home.viewer.get(url, headers=PNG | {"range": "bytes=50-99"})
        assert (part.status_code, part.content, cache_did(part)) == (206, answers[0].content[50:100], "hit")
        tag = {"if-none-match": answers[0].headers["etag"]}
        assert (await home.viewer.get(url, headers=PNG | tag)).status_code == 304
        head = await home.viewer.head(url, headers=PNG)
        assert (head.content, int(head.headers["content-length"])) == (b"", len(answers[0].content))
        assert len(origin.frame_requests) == 1


async def test_of_htj2k_a_small_picture_takes_its_first_bytes_alone() -> None:
    body = htj2k(picture(1024, 1024), **PARTS)
    sizes = {"00280010": 1024, "00280011": 1024}
    origin = described(ScriptedOrigin().with_series([body]), more=WINDOW | sizes)
    async with house(origin, origin=OURS) as home:
        small = shown(await home.viewer.get(of("thumbnail"), headers=PNG))
        quarter = windowed(decode_htj2k(body, 3), Display(window=DisplayWindow(1500, 2000)))
        assert np.array_equal(small, quarter)
        between = shown(await home.viewer.get(of("rendered?viewport=100,100"), headers=PNG))
        assert np.array_equal(between, scale(quarter, (0, 0, 128, 128), (100, 100)))
        part = shown(await home.viewer.get(of("rendered?viewport=64,64,512,256,512,512"), headers=PNG))
        assert np.array_equal(part, scale(quarter, (64, 32, 64, 64), (64, 64)))
        brought = [home.metric("origin_bytes_total", origin="pacs", stage=s) for s in ("first", "completion")]
        assert 0 < sum(brought) < len(body) / 8
        whole = shown(await home.viewer.get(of("rendered"), headers=PNG))
        assert np.array_equal(whole, windowed(picture(1024, 1024), Display(window=DisplayWindow(1500, 2000))))


async def test_a_series_shows_the_image_in_its_middle() -> None:
    async with house(windowed_origin(5), origin=OURS) as home:
        middle = shown(await home.viewer.get(of("rendered", 2), headers=PNG))
        assert np.array_equal(shown(await home.viewer.get(f"{SERIES}/rendered", headers=PNG)), middle)
        small = await home.viewer.get(f"{SERIES}/thumbnail", headers=PNG)
        assert small.content == (await home.viewer.get(of("thumbnail", 2), headers=PNG)).content
        assert {asked.path for asked in home.origin.frame_requests} == {frame_of(2)}


async def test_an_instance_shows_its_first_frame_and_as_a_thumbnail_the_one_in_the_middle() -> None:
    origin = windowed_origin(**{"00280008": 5})
    instance = frame_of(0).removesuffix("/frames/1")
    for number in (1, 3):
        origin.frames[f"{instance}/frames/{number}"] = (PIXELS + 100 * number).astype("<u2").tobytes()
    async with house(origin, origin=OURS) as home:
        first = shown(await home.viewer.get(f"{instance}/rendered", headers=PNG))
        display = Display(window=DisplayWindow(1500, 2000))
        assert np.array_equal(first, windowed(PIXELS + 100, display))
        small = shown(await home.viewer.get(f"{instance}/thumbnail?viewport=999,999", headers=PNG))
        assert np.array_equal(small, windowed(PIXELS + 300, display))
        other = await home.viewer.get(f"{instance}9/rendered", headers=PNG)
        assert (other.status_code, other.json()["detail"]) == (404, "the series has no such instance")


@pytest.mark.parametrize(
    ("query", "accept", "status", "words"),
    [
        ("?viewport=12", "*/*", 400, "viewport: must be width,height in pixels"),
        ("?viewport=5,5,400,0,1,1", "*/*", 400, "whose side has 301 pixels"),
        ("?window=40,400", "*/*", 400, "window: must be center,width,function"),
        ("?quality=0", "*/*", 400, "quality: must be a whole number from 1 to 100"),
        ("", "image/gif", 406, "image/jpeg and image/png"),
    ],
)
async def test_what_can_not_be_given_is_said_with_what_can(
    query: str, accept: str, status: int, words: str
) -> None:
    async with house(windowed_origin(), origin=OURS) as home:
        answer = await home.viewer.get(of(f"rendered{query}"), headers={"accept": accept})
        assert answer.status_code == status
        assert words in answer.json()["detail"]


async def test_colours_come_of_palettes_and_of_luma_and_chroma() -> None:
    indices = (PIXELS % 256).astype("u1")
    tables = [np.arange(256, dtype="u1")[::step] for step in (1, -1)]
    origin = ScriptedOrigin(script=lambda asked: labelled(origin, asked)).with_series([indices.tobytes()])
    bits = {"00280100": 8, "00280101": 8, "00280004": "PALETTE COLOR"}
    described(origin, "1.2.840.10008.1.2.1", more=bits)
    path = f"{SERIES}/metadata"
    instance = json.loads(origin.metadata[path])[0]
    for last, table in zip((1, 2, 3), (*tables, tables[0]), strict=True):
        instance[f"0028110{last}"] = {"vr": "US", "Value": [256, 0, 8]}
        instance[f"0028120{last}"] = {"vr": "OW", "InlineBinary": b64encode(table.tobytes()).decode()}
    origin.metadata[path] = json.dumps([instance]).encode()
    async with house(origin, origin=OURS) as home:
        found = shown(await home.viewer.get(of("rendered"), headers=PNG))
        assert np.array_equal(found, np.stack([indices, 255 - indices, indices], axis=-1))


async def test_a_palette_that_is_elsewhere_is_said_to_be() -> None:
    elsewhere: dict[str, Any] = {"00280004": "PALETTE COLOR"}
    async with house(windowed_origin(**elsewhere), origin=OURS) as home:
        answer = await home.viewer.get(of("rendered"), headers=PNG)
        assert (answer.status_code, answer.json()["title"]) == (404, "NotMade")
        assert "palette" in answer.json()["detail"]


def labelled(origin: ScriptedOrigin, asked: Asked) -> Reply | None:
    body = origin.frames.get(asked.path)
    return honest(body, asked, label=PLAIN) if body else None


async def test_where_the_origin_renders_nothing_is_made_here() -> None:
    """The proxy requests each picture, because a 400 can concern the request rather than the picture."""

    def script(asked: Asked) -> Reply | None:
        if asked.path.endswith("/thumbnail"):
            return Reply(503, {"retry-after": "7"}, (b"later",))
        if "/rendered" not in asked.path:
            return None
        if asked.path.startswith(frame_of(0)):
            return Reply(200, {"content-type": "image/png"}, (b"theirs",))
        return Reply(400, {"content-type": "text/plain"}, (b"not this transfer syntax",))

    origin = windowed_origin(3, script)
    async with house(origin, origin={"rendered": "if-missing"}) as home:
        for _ in range(2):
            assert (await home.viewer.get(of("rendered", 0), headers=PNG)).content == b"theirs"
        busy = await home.viewer.get(of("thumbnail", 0), headers=PNG)
        assert (busy.status_code, busy.content) == (503, b"later"), "the origin is only busy"
        for image in (1, 2):
            ours = shown(await home.viewer.get(of("rendered", image), headers=PNG))
            assert np.array_equal(ours, windowed(PIXELS + image, Display(window=DisplayWindow(1500, 2000))))
        asked = [each.path.removesuffix("/rendered") for each in origin.asked if "/rendered" in each.path]
        assert asked == [frame_of(0), frame_of(1), frame_of(2)], "a picture of the origin is kept"


async def test_a_picture_is_shown_to_no_other_credential() -> None:
    def script(asked: Asked) -> Reply | None:
        is_good = asked.headers.get("authorization") == "Bearer good"
        return None if is_good or asked.path.startswith("/studies?") else Reply(403, {}, ())

    async with house(windowed_origin(script=script), origin=OURS) as home:
        for token, status in (("good", 200), ("bad", 403), ("good", 200)):
            proof = {"authorization": f"Bearer {token}"}
            answer = await home.viewer.get(of("thumbnail"), headers=PNG | proof)
            assert answer.status_code == status


async def test_a_picture_follows_its_frame_to_a_new_version() -> None:
    origin = windowed_origin()
    async with house(origin, origin=OURS, cache={"ttl": 0.001, "stale": 0}) as home:
        first = await home.viewer.get(of("rendered"), headers=PNG)
        origin.frames[frame_of(0)] = (PIXELS + 70).astype("<u2").tobytes()
        await home.until_idle()
        await home.until(lambda: not home.metric("cache_bytes", part="first"))
        second = await home.viewer.get(of("rendered"), headers=PNG)
        assert first.headers["etag"] != second.headers["etag"]
        assert np.array_equal(shown(second), windowed(PIXELS + 70, Display(window=DisplayWindow(1500, 2000))))

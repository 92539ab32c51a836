"""First fetches that end with a resolution, stages of rising resolution, and pictures that are cut out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.codestream.layout import read_layout
from proxy.wire.multipart import PartReader
from tests.codestreams import PARTS, htj2k, picture
from tests.house import cache_did, house
from tests.scripted_origin import HANG_UP, Asked, Reply, ScriptedOrigin, frame_of, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
SLICES = [picture(512, 512, seed=seed) for seed in range(4)]
TLM = [htj2k(pixels, **PARTS) for pixels in SLICES]
PLAIN = [htj2k(pixels) for pixels in SLICES]
LARGE = [picture(800, 800, seed=seed) for seed in range(3)]  # a quarter of it is longer than a probe
LARGE_TLM = [htj2k(pixels, **PARTS) for pixels in LARGE]
LARGE_PLAIN = [htj2k(pixels) for pixels in LARGE]
TILED = htj2k(SLICES[0], tile=(128, 128))
LARGE_KINDS = pytest.mark.parametrize("bodies", [LARGE_TLM, LARGE_PLAIN], ids=["tlm", "no tlm"])
KINDS = pytest.mark.parametrize("bodies", [TLM, PLAIN], ids=["tlm", "no tlm"])
NO_CODESTREAM = b"\xff\x4f\xff\x51" + bytes(200_000)
PROBE, STEP = 32768, 16384


def end_of(body: bytes, scale: int) -> int:
    """The offset at which the resolution of that scale ends."""
    layout = read_layout(body)
    assert layout is not None
    end = layout.ends[len(layout.ends) - scale.bit_length()]
    assert end is not None
    return end


def climbing(*firsts: str, **more: Any) -> dict[str, Any]:
    """Settings with a profile `climbing`: one stage for each resolution and one for the rest."""
    stages = [{"id": first, "retrieveType": first, "priority": n} for n, first in enumerate(firsts)]
    options: dict[str, Any] = {first: {"first": first} for first in firsts}
    last = {"id": "rest", "retrieveType": "final", "priority": len(firsts)}
    made = {"stages": [*stages, last], "retrieveOptions": {**options, "final": {"rangeIndex": -1}}, **more}
    return {"profiles": {"climbing": made}}


def asked_spans(origin: ScriptedOrigin, image: int, total: int) -> list[tuple[int, int]]:
    """The half-open spans of a frame that the origin was asked for, in order."""
    spans = []
    for header in origin.ranges_of(frame_of(image)):
        start, _, last = (header or "bytes=0-").removeprefix("bytes=").partition("-")
        spans.append((int(start), min(int(last) + 1, total) if last else total))
    return spans


def is_each_byte_asked_once(spans: Sequence[tuple[int, int]], total: int) -> bool:
    return spans[0][0] == 0 and spans[-1][1] == total and all(a[1] == b[0] for a, b in pairwise(spans))


@LARGE_KINDS
async def test_a_first_fetch_ends_where_the_resolution_does_and_no_byte_comes_twice(
    bodies: list[bytes],
) -> None:
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin, **climbing("1/4")) as home:
        for _, event in await home.events(await home.begin_plan("climbing", frames=frames(0))):
            assert event.get("ok", True)
        assert asked_spans(origin, 0, len(bodies[0])) == [
            (0, PROBE),
            (PROBE, end_of(bodies[0], 4)),
            (end_of(bodies[0], 4), len(bodies[0])),
        ]
        await home.events(await home.begin_plan("climbing"))
        learned = int(end_of(bodies[0], 4) * (1 + 1 / 32))
        for image, body in list(enumerate(bodies))[1:]:
            spans = asked_spans(origin, image, len(body))
            assert spans[0] == (0, learned)
            assert is_each_byte_asked_once(spans, len(body))
        received = home.metric("origin_bytes_total", origin="pacs", stage="first")
        received += home.metric("origin_bytes_total", origin="pacs", stage="completion")
        assert received == sum(map(len, bodies))
        assert home.metric("first_fetches_total", method="learned") == 2
        assert home.metric("first_fetches_total", method="tlm" if bodies is LARGE_TLM else "walk") == 1
        assert home.metric("first_saved_bytes_total") == (
            65536 - end_of(bodies[0], 4) + sum(65536 - max(learned, end_of(body, 4)) for body in bodies[1:])
        )
        for image, body in enumerate(bodies):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert (answer.content, cache_did(answer)) == (body, "hit")


def frames(*images: int) -> list[dict[str, Any]]:
    """Frames of these images, in the form of the API."""
    return [{"instance": frame_of(image).split("/")[-3], "frame": 1} for image in images]


async def test_a_first_fetch_that_fell_short_is_topped_up_to_the_exact_end() -> None:
    small, large = htj2k(picture(512, 512) // 64, **PARTS), TLM[1]
    origin = ScriptedOrigin().with_series([small, large])
    async with house(origin, **climbing("1/2")) as home:
        for image in (0, 1):
            await home.events(await home.begin_plan("climbing", frames=frames(image)))
        spans = asked_spans(origin, 1, len(large))
        assert spans[0][1] < end_of(large, 2)
        assert spans[1] == (spans[0][1], end_of(large, 2))
        assert is_each_byte_asked_once(spans, len(large))
        assert home.metric("top_ups_total") == 1


@LARGE_KINDS
async def test_stages_climb_each_by_an_exact_span(bodies: list[bytes]) -> None:
    origin = ScriptedOrigin().with_series(bodies[:1])
    async with house(origin, **climbing("1/16", "1/4", "1/2")) as home:
        await home.events(await home.begin_plan("climbing"))
        ends = [end_of(bodies[0], scale) for scale in (4, 2)]  # the probe holds more than 1/16
        spans = asked_spans(origin, 0, len(bodies[0]))
        # Without TLM the proxy has to read the next packet's header to know where the resolution ends.
        look = [] if bodies is LARGE_TLM else [ends[0] + STEP]
        assert [stop for _, stop in spans] == [PROBE, ends[0], *look, ends[1], len(bodies[0])]
        assert is_each_byte_asked_once(spans, len(bodies[0]))


async def test_a_frame_that_the_first_fetch_holds_whole_is_not_completed() -> None:
    body = htj2k(picture(64, 64), **PARTS)
    origin = ScriptedOrigin().with_series([body])
    async with house(origin, **climbing("≥ 256")) as home:
        await home.events(await home.begin_plan("climbing"))
        assert asked_spans(origin, 0, len(body)) == [(0, len(body))]


async def test_where_the_codestream_can_not_tell_it_is_64_kib() -> None:
    origin = ScriptedOrigin().with_series([NO_CODESTREAM])
    async with house(origin, **climbing("1/4")) as home:
        await home.events(await home.begin_plan("climbing"))
        assert asked_spans(origin, 0, 200_004) == [(0, PROBE), (PROBE, 65536), (65536, 200_004)]
        assert home.metric("first_fetches_total", method="unknown") == 1


@KINDS
@pytest.mark.parametrize("is_learned", [False, True])
async def test_a_viewer_s_own_first_range_is_one_fetch_no_less(bodies: list[bytes], is_learned: bool) -> None:
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin, profile="climbing", **climbing("1/16", complete="on-demand")) as home:
        if is_learned:
            await home.viewer.get(frame_of(1), headers=SINGLE)
        answer = await home.viewer.get(frame_of(0), headers={**SINGLE, "range": "bytes=0-65535"})
        assert (answer.status_code, answer.content) == (206, bodies[0][:65536])
        await home.until_idle()
        assert origin.ranges_of(frame_of(0)) == ["bytes=0-65535"]


async def test_ends_that_tlm_tells_are_told() -> None:
    origin = ScriptedOrigin().with_series([TLM[0], PLAIN[0]])
    async with house(origin) as home:
        answers = [await home.viewer.get(frame_of(image), headers=SINGLE) for image in (0, 1)]
        layout = read_layout(TLM[0])
        assert layout is not None
        assert answers[0].headers["resolution-ends"] == ", ".join(map(str, layout.ends))
        assert "resolution-ends" not in answers[1].headers


def reduced(image: int, query: str = "") -> str:
    return frame_of(image).replace("/frames/", "/htj2kThumbnail/") + query


@KINDS
@pytest.mark.parametrize(
    ("url", "width"),
    [
        (reduced(0), 128),
        (reduced(0, "?fsiz=64,64"), 64),
        (reduced(0, "?fsiz=65%2C10"), 128),
        (frame_of(0) + "?fsiz=100,100", 128),
        (frame_of(0).replace("/frames/", "/jpip?target=") + "?fsiz=128,128", 128),
        (frame_of(0) + "?fsiz=1,1", 16),
    ],
)
async def test_a_smaller_picture_is_cut_out_at_the_cost_of_its_first_bytes(
    bodies: list[bytes], url: str, width: int
) -> None:
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin) as home:
        answer = await home.viewer.get(url, headers=SINGLE)
        assert answer.status_code == 200
        rpcl = ";transfer-syntax=1.2.840.10008.1.2.4.202" if bodies is TLM else ""  # .202 requires TLM
        assert answer.headers["content-type"] == f"image/jphc{rpcl}"
        assert answer.headers["resolution"] == f"{width}x{width}"
        scale = 512 // width
        expected = decode_htj2k(bodies[0], scale.bit_length() - 1)
        assert np.array_equal(imagecodecs.jpeg2k_decode(answer.content), expected)
        await home.until_idle()
        asked = asked_spans(origin, 0, len(bodies[0]))
        assert asked[-1][1] <= max(PROBE, end_of(bodies[0], scale))
        again = await home.viewer.get(url, headers=SINGLE)
        assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])
        assert cache_did(again) == "hit"
        assert asked_spans(origin, 0, len(bodies[0])) == asked


async def test_a_cut_picture_is_a_representation_of_its_own() -> None:
    origin = ScriptedOrigin().with_series(TLM)
    async with house(origin) as home:
        whole = await home.viewer.get(frame_of(0), headers=SINGLE)
        one, other = [await home.viewer.get(reduced(0, q), headers=SINGLE) for q in ("", "?fsiz=64,64")]
        assert len({whole.headers["etag"], one.headers["etag"], other.headers["etag"]}) == 3
        url, size = reduced(0), len(one.content)
        known = await home.viewer.get(url, headers={**SINGLE, "if-none-match": one.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        part = await home.viewer.get(url, headers={**SINGLE, "range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, one.content[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{size}"
        head = await home.viewer.head(url, headers=SINGLE)
        assert (head.headers["content-length"], head.content) == (str(size), b"")
        wrapped = await home.viewer.get(url)
        reader = PartReader()
        assert reader.feed(wrapped.content) + reader.finish() == one.content
        assert home.metric("final_delivery_seconds_count", profile="sequential", cache="hit") == 0


@pytest.mark.parametrize(
    "body", [TILED, b"\xff\x4f\xff\x51" + bytes(200_000)], ids=["tiles", "no codestream"]
)
async def test_what_can_not_be_cut_is_given_whole_and_why(body: bytes) -> None:
    origin = ScriptedOrigin().with_series([body])
    async with house(origin) as home:
        answer = await home.viewer.get(reduced(0), headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, body)
        assert answer.headers["not-reduced"]
        assert "resolution" not in answer.headers


@pytest.mark.parametrize("query", ["?fsiz=128", "?fsiz=a,b", "?fsiz=-1,4", "?fsiz=1,2,3", "?fsiz=100000,1"])
async def test_a_size_that_is_none_is_refused(query: str) -> None:
    origin = ScriptedOrigin().with_series(TLM[:1])
    async with house(origin) as home:
        answer = await home.viewer.get(reduced(0, query), headers=SINGLE)
        assert answer.status_code == 400
        assert "fsiz" in answer.json()["detail"]


async def test_a_plan_of_thumbnails_fetches_each_byte_of_the_frames_once() -> None:
    origin = ScriptedOrigin().with_series(TLM)
    async with house(origin) as home:
        events = await home.events(await home.begin_plan("htj2kReduced"))
        assert events[-1][1] == {"state": "done", "bytes": sum(map(len, TLM))}
        for image, body in enumerate(TLM):
            assert is_each_byte_asked_once(asked_spans(origin, image, len(body)), len(body))
            assert cache_did(await home.viewer.get(reduced(image), headers=SINGLE)) == "hit"
        assert not [asked for asked in origin.asked if "Thumbnail" in asked.path]


async def test_a_tlm_that_lies_costs_no_more_than_the_frame() -> None:
    lie = bytearray(TLM[0])
    at = TLM[0].index(b"\xff\x55") + 7
    lie[at : at + 4] = (2**31 - 1).to_bytes(4, "big")
    origin = ScriptedOrigin().with_series([bytes(lie)])
    async with house(origin, **climbing("1/4")) as home:
        events = await home.events(await home.begin_plan("climbing"))
        assert events[-1][1] == {"state": "done", "bytes": len(lie)}
        answer = await home.viewer.get(reduced(0), headers=SINGLE)
        assert answer.status_code == 200


async def test_an_origin_that_hangs_up_in_a_top_up_is_asked_for_what_is_missing() -> None:
    origin, body = ScriptedOrigin().with_series(LARGE_TLM[:1]), LARGE_TLM[0]
    hung: list[Asked] = []

    def script(asked: Asked) -> Reply | None:
        if asked.range and asked.range.startswith(f"bytes={PROBE}-") and not hung:
            hung.append(asked)
            reply = honest(body, asked)
            part = reply.pieces[0]
            assert isinstance(part, bytes)
            headers = reply.headers | {"content-length": str(len(part))}
            return Reply(reply.status, headers, (part[:100], HANG_UP))
        return None

    origin.script = script
    async with house(origin) as home:
        answer = await home.viewer.get(reduced(0), headers=SINGLE)
        assert answer.status_code == 200
        assert hung
        assert asked_spans(origin, 0, len(body))[-1] == (PROBE + 100, end_of(body, 4))

"""Features of our own proxy, measured with the real proxy: cut pictures, and plans by resolution."""

import asyncio

import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.codecs.jobs import Alternate
from proxy.codecs.transcode import averaged, encode
from proxy.codestream.layout import read_layout
from proxy.errors import MeasureError
from proxy.measure.network import parse_network
from proxy.measure.opening import OPEN
from proxy.measure.plans import PLANS, profiles
from proxy.measure.row import Cache, Link, Row
from proxy.measure.run import JLS_WHOLE, Setup, measure
from proxy.measure.series import Kind, Subject
from proxy.measure.two_step import CUT, JLS_MADE, JLS_REDUCED, alternates, jls_size
from proxy.measure.viewer import WAYS
from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, frame_of, honest
from tests.stories.test_alternates import described

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BODIES = [htj2k(picture(512, 512, seed=seed), **PARTS) for seed in range(3)]
PATHS = tuple(frame_of(image).removeprefix("/") for image in range(3))
VOLUME = Subject("Test", Kind.VOLUME, 512, 512, PATHS)
STACK = Subject("Test", Kind.STACK, 512, 512, PATHS[:1])


async def measured(
    home: House, subject: Subject, link: Link = Link.ORIGIN, *, has_jls: bool = False
) -> list[Row]:
    home.origin.metadata["/{}/{}/series".format(*PATHS[0].split("/")[:2])] = b"[]"
    urls = (str(client.base_url).rstrip("/") for client in (home.viewer, home.admin))
    setup = Setup((subject,), home.origin.url, next(urls), parse_network("4g"), link, next(urls), has_jls)
    return [row async for row in measure(setup)]


def with_jls(origin: ScriptedOrigin) -> ScriptedOrigin:
    """Adds JPEG-LS beside the frames, whole and reduced, and metadata that describes the pixels."""
    for path, body in tuple(origin.frames.items()):
        pixels = decode_htj2k(body)
        for other, scale in (("/jls/", 1), ("/jlsThumbnail/", 4)):
            reduced = encode(averaged(pixels, scale), Alternate("jpegls"))
            origin.frames[path.replace("/frames/", other)] = reduced

    def answer(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path.partition("?")[0])
        return honest(body, asked, label="image/jls") if body and "/jls" in asked.path else None

    origin.script = answer
    return described(origin, more={"00280010": 512, "00280011": 512})


def ends(body: bytes) -> list[int]:
    layout = read_layout(body)
    assert layout is not None
    return [end or 0 for end in layout.ends]


async def test_rows_of_our_own_proxy_come_last_and_are_proved() -> None:
    settings = await asyncio.to_thread(profiles)
    async with house(ScriptedOrigin().with_series(BODIES), profiles=settings) as home:
        rows = await measured(home, VOLUME)
    own = {(row.way, row.cache): row for row in rows[3 * len((*WAYS[Kind.VOLUME], OPEN)) :]}
    assert list(own) == [(CUT, Cache.COLD), (CUT, Cache.HOT), *((p, Cache.COLD) for p in PLANS[Kind.VOLUME])]
    cut, quarter = own[CUT, Cache.COLD], own["first 1/4", Cache.COLD]
    assert cut.first_resolution == quarter.first_resolution == "128x128 (1/4)"
    assert quarter.first_bytes in [ends(body)[3] for body in BODIES]
    assert abs(cut.first_bytes - quarter.first_bytes) < 200
    assert own["first 1/16", Cache.COLD].first_bytes in [ends(body)[1] for body in BODIES]
    assert own["first ≥ 256", Cache.COLD].first_resolution == "256x256 (1/2)"
    seen = sum(ends(body)[3] for body in BODIES)
    assert quarter.seen_limit_ms == pytest.approx(10 + seen * 8 / 30e3)
    assert {row.size for row in own.values()} == {sum(map(len, BODIES))}
    assert all(row.is_plan == (row.way != CUT) for row in own.values())


async def test_a_study_is_opened_directly_cold_and_hot() -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    path = f"/{PATHS[0].partition('/instances/')[0]}/metadata"
    async with house(origin, profiles=await asyncio.to_thread(profiles)) as home:
        rows = [row for row in await measured(home, STACK) if row.way == OPEN]
    assert [row.cache for row in rows] == list(Cache)
    lists = len(origin.metadata[path]) + len(b"[]")
    assert {row.size for row in rows} == {lists + len(BODIES[0])}
    assert {row.first_bytes for row in rows} == {lists + 65536}
    limit = 3 * 10 + (lists + 65536) * 8 / 30e3  # three requests, one after the other
    assert [row.first_limit_ms for row in rows] == [pytest.approx(limit), pytest.approx(limit), None]
    assert all(row.first_ms <= row.final_ms for row in rows)
    assert {(row.seen_ms, row.seen_limit_ms, row.first_resolution) for row in rows} == {(None, None, None)}


async def test_jpeg_ls_has_rows_of_the_origins_and_of_the_proxys_making() -> None:
    settings = await asyncio.to_thread(profiles)
    origin = with_jls(ScriptedOrigin().with_series(BODIES))
    async with house(origin, profiles=settings, alternates=alternates()) as home:
        rows = await measured(home, VOLUME, has_jls=True)
    told = {(row.way, row.cache): row for row in rows}
    whole, reduced, made = (told[way, Cache.COLD] for way in (JLS_WHOLE, JLS_REDUCED, JLS_MADE))
    assert [row.first_resolution for row in (whole, reduced, made)] == [
        None,
        "128x128 (1/4)",
        "128x128 (1/4)",
    ]
    small = sum(len(body) for path, body in origin.frames.items() if "/jlsThumbnail/" in path)
    assert whole.size == sum(len(body) for path, body in origin.frames.items() if "/jls/" in path)
    assert reduced.size == whole.size + small
    assert reduced.seen_limit_ms == pytest.approx(10 + small * 8 / 30e3)
    assert sum(map(len, BODIES)) < made.size < sum(map(len, BODIES)) + 2 * small
    assert (JLS_MADE, Cache.NONE) not in told
    assert (JLS_REDUCED, Cache.NONE) in told


async def test_what_is_no_jpeg_ls_has_no_size() -> None:
    assert jls_size(encode(picture(7, 9), Alternate("jpegls"))) == (9, 7)
    with pytest.raises(MeasureError, match="is not JPEG-LS"):
        jls_size(BODIES[0])


async def test_behind_a_link_a_viewer_sees_no_plan() -> None:
    settings = await asyncio.to_thread(profiles)
    async with house(ScriptedOrigin().with_series(BODIES), profiles=settings) as home:
        rows = await measured(home, STACK, Link.VIEWER)
    assert [row.way for row in rows[3 * len((*WAYS[Kind.STACK], OPEN)) :]] == [CUT, CUT]


async def test_a_plan_that_fails_is_an_error_that_says_so() -> None:
    async with house(ScriptedOrigin().with_series(BODIES)) as home:  # without the profiles
        with pytest.raises(MeasureError, match="first 64KiB, proxy cold: the origin answered 404"):
            await measured(home, STACK)

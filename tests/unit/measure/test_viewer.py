import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from proxy.codecs.htj2k import encode_htj2k
from proxy.codestream.header import read_header
from proxy.commands.processes import address, listen
from proxy.errors import (
    BadResource,
    ConfigurationError,
    MeasureError,
    OriginHungUp,
    OriginMismatch,
    OriginRefused,
    OriginUnreachable,
)
from proxy.measure.find import find_subjects
from proxy.measure.network import parse_network
from proxy.measure.row import Cache, Link
from proxy.measure.run import Setup, measure
from proxy.measure.series import Kind
from proxy.measure.server import CONNECTIONS, Server
from proxy.measure.viewer import ACCEPTS, WAYS, Viewer, Way
from proxy.plan.plan import ordered
from proxy.plan.profile import stock_profile
from proxy.wire.multipart import SINGLE_PART, Wrapping, wrap
from proxy.wire.ranges import ContentRange, parse_range

LARGE, SMALL = 150_001, 5_000
ENVELOPE = wrap("border", "image/jphc")


@dataclass
class Origin:
    """A DICOMweb server of one study on a real socket. Its fields say what it does wrong."""

    sizes: tuple[int, ...] = (LARGE, SMALL, LARGE)
    accepts: tuple[str, ...] = ACCEPTS
    wrapping: Wrapping = SINGLE_PART
    later_range_is_whole: bool = False
    cut: int = 0
    is_caching: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        seeded = [bytes([index]) * 7 + os.urandom(size - 7) for index, size in enumerate(self.sizes)]
        self.frames = {f"/studies/1/series/2/instances/3.{n}/frames/1": each for n, each in enumerate(seeded)}
        self.held: set[str] = set()

    async def __call__(
        self, scope: dict[str, Any], _: object, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, answer, body = self.answer(scope["path"], scope["query_string"].decode(), headers)
        raw = [(name.encode(), value.encode()) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def answer(self, path: str, query: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if path not in self.frames:
            return self.metadata(path)
        self.asked.append((path, query, headers.get("range", "")))
        if headers["accept"] not in self.accepts:
            return 406, {}, b""
        codestream = self.frames[path]
        body = self.wrapping.before + codestream + self.wrapping.after
        envelope = 'multipart/related; type="image/jphc"' if self.wrapping.before else "image/jphc"
        said = {"content-type": envelope}
        if self.is_caching:
            said["cache-status"] = "test; hit" if path + query in self.held else "test; fwd=uri-miss"
            self.held.add(path + query)
        asked = parse_range(headers.get("range"))
        if asked is None or (asked.first and self.later_range_is_whole):
            return 200, said, body[: len(body) - self.cut]
        span = asked.resolve(len(body))
        assert span.stop is not None
        said["content-range"] = ContentRange(span.start, span.stop, len(body)).to_header()
        return 206, said, body[span.start : span.stop - self.cut]

    def metadata(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/studies":
            found = [{"0020000D": {"Value": ["1"]}}]
        elif path == "/studies/1/series":
            found = [{"0020000E": {"Value": ["2"]}}]
        elif path == "/studies/1/series/2/metadata":
            found = [self.instance(n) for n in range(len(self.sizes))]
        else:
            return 404, {}, b""
        return 200, {"content-type": "application/dicom+json"}, json.dumps(found).encode()

    def instance(self, n: int) -> dict[str, Any]:
        tags = {"00080018": f"3.{n}", "00280010": 64, "00280011": 64, "00200013": n, "0008103E": "Test"}
        return {tag: {"Value": [value]} for tag, value in tags.items()}

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path.removeprefix("/") for path in self.frames)


@asynccontextmanager
async def served(app: Origin) -> AsyncIterator[str]:
    listener = listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="off"))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    host, port = address(listener)
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


class Asked(Server):
    """A server that notes frames as they are asked for, and hands them on in the order of the requests."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[tuple[str, str]] = []
        self._before: asyncio.Event | None = None

    @asynccontextmanager
    async def ask(self, path: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        before, self._before = self._before, (ended := asyncio.Event())
        if "/frames/" in path:
            self.asked.append((path, headers.get("Range", "")))
        try:
            async with super().ask(path, headers) as response:
                if before is not None:
                    await before.wait()
                yield response
        finally:
            ended.set()


@asynccontextmanager
async def viewing(app: Origin) -> AsyncIterator[Viewer]:
    async with served(app) as url, Server(url) as server:
        yield Viewer(server)


@pytest.mark.anyio
@pytest.mark.parametrize("wrapping", [SINGLE_PART, ENVELOPE])
@pytest.mark.parametrize("way", list(Way))
async def test_every_byte_of_every_frame_is_loaded(way: Way, wrapping: Wrapping) -> None:
    origin = Origin(wrapping=wrapping)
    async with viewing(origin) as viewer:
        loaded = await viewer.load(origin.paths, way)
        again = await viewer.load(origin.paths, way)
    assert loaded.codestream in origin.frames.values()
    assert loaded.digests == again.digests
    assert len(set(loaded.digests)) == 3
    assert loaded.size == sum(map(wrapping.total, origin.sizes))
    assert 0 < loaded.first <= loaded.seen <= loaded.final
    small, large = wrapping.total(SMALL), wrapping.total(LARGE) if way is Way.WHOLE else 65536
    assert loaded.first_bytes in (small, large)
    whole = wrapping.total if way is Way.WHOLE else int
    seen = 65536 if way is not Way.WHOLE else whole(LARGE)  # random bytes have no resolutions
    assert loaded.seen_bytes == whole(SMALL) + 2 * seen
    assert loaded.first_codestream <= min(LARGE, large)
    assert loaded.is_hit is None


@pytest.mark.anyio
async def test_first_ranges_of_all_frames_come_before_the_rests_and_a_small_frame_has_none() -> None:
    origin = Origin()
    async with served(origin) as url, Asked(url) as server:
        await Viewer(server).load(origin.paths, Way.RANGE, "once")
    asked = [(path[-17], span) for path, span in server.asked]
    assert {query for _, query, _ in origin.asked} == {"_=once"}
    firsts, rests = [("0", "bytes=0-65535"), ("1", "bytes=0-65535"), ("2", "bytes=0-65535")], asked[3:]
    assert sorted(asked[:3]) == firsts
    assert sorted(rests) == [("0", "bytes=65536-"), ("2", "bytes=65536-")]


@pytest.mark.anyio
@pytest.mark.parametrize("way", [Way.INTERLEAVED, Way.COARSE_INTERLEAVED, Way.SEQUENTIAL])
async def test_a_stock_profile_is_carried_out_in_its_order(way: Way) -> None:
    origin = Origin(sizes=20 * (LARGE,) + (SMALL,))
    profile = await asyncio.to_thread(stock_profile, way.value)
    fetches = [(fetch.image, str(fetch.part)) for fetch in ordered(profile, 21)]
    planned = [(image, "" if span == "bytes=0-" else span) for image, span in fetches]
    planned = [one for one in planned if one != (20, "bytes=65536-")]  # a small frame has no remainder
    async with served(origin) as url, Asked(url) as server:
        loaded = await Viewer(server).load(origin.paths, way)
    assert len(set(loaded.digests)) == 21
    asked = [(origin.paths.index(path), span) for path, span in server.asked]
    # A remainder waits for its own first bytes, so neighbours may change places, but no others.
    places = [planned.index(one) for one in asked]
    assert sorted(places) == list(range(len(planned)))
    assert all(abs(place - at) < 2 * CONNECTIONS for at, place in enumerate(places))


@pytest.mark.anyio
async def test_a_slice_is_seen_at_its_quarter_size_or_whole_and_the_limit_is_for_these_bytes() -> None:
    noise = np.random.default_rng(1).integers(0, 4096, (512, 512)).astype(np.uint16)
    codestream = encode_htj2k(noise)
    origin = Origin(sizes=(7, 7, 7))
    origin.frames = dict.fromkeys(origin.frames, codestream)
    header = read_header(codestream)
    assert header is not None
    async with served(origin) as url, Server(url) as server:
        subjects = await find_subjects(server)
        rows = [row async for row in measure(Setup(subjects, url, None, parse_network("4g"), Link.ORIGIN))]
    limits = {row.way: row.seen_limit_ms for row in rows if row.subject.kind is Kind.VOLUME}
    assert tuple(limits) == WAYS[Kind.VOLUME]
    assert limits.pop(Way.WHOLE) == pytest.approx(10 + 3 * len(codestream) * 8 / 30e3)
    quarter = 10 + 3 * header.resolution_ends[3] * 8 / 30e3
    assert list(limits.values()) == [pytest.approx(quarter)] * (len(WAYS[Kind.VOLUME]) - 1)
    assert all((row.seen_ms is None) == (row.subject.kind is Kind.STACK) for row in rows)
    assert [row.way for row in rows if row.seen_ms is None] == [Way.WHOLE, Way.STREAMING, Way.RANGE]


@pytest.mark.anyio
@pytest.mark.parametrize("accept", ACCEPTS)
async def test_what_a_server_takes_is_found_out_once(accept: str) -> None:
    origin = Origin(accepts=(accept,), sizes=(SMALL,))
    async with viewing(origin) as viewer:
        await viewer.load(origin.paths, Way.WHOLE)
        await viewer.load(origin.paths, Way.WHOLE)
    assert len(origin.asked) == ACCEPTS.index(accept) + 2


@pytest.mark.anyio
async def test_a_server_that_takes_nothing_is_an_error() -> None:
    origin = Origin(accepts=())
    async with viewing(origin) as viewer:
        with pytest.raises(OriginRefused, match="406"):
            await viewer.load(origin.paths, Way.WHOLE)


@pytest.mark.anyio
async def test_a_200_to_a_later_range_is_an_error() -> None:
    origin = Origin(later_range_is_whole=True)
    async with viewing(origin) as viewer:
        with pytest.raises(OriginMismatch, match="200"):
            await viewer.load(origin.paths, Way.RANGE)


@pytest.mark.anyio
@pytest.mark.parametrize("way", [Way.RANGE])
async def test_a_short_body_is_an_error(way: Way) -> None:
    origin = Origin(cut=10)
    async with viewing(origin) as viewer:
        with pytest.raises(OriginHungUp, match="10 bytes early"):
            await viewer.load(origin.paths, way)


@pytest.mark.anyio
async def test_what_there_is_is_found_by_search() -> None:
    async with served(Origin()) as url, Server(url) as server:
        stack, volume = await find_subjects(server)
        assert await find_subjects(server, study="1", series="2") == (stack, volume)
        with pytest.raises(OriginMismatch, match="no such study or series"):
            await find_subjects(server, series="9")
        with pytest.raises(OriginRefused, match="404"):
            await find_subjects(server, study="9")
        with pytest.raises(BadResource):
            await find_subjects(server, study="../9")
    assert stack.paths == Origin().paths[:1]
    assert volume.paths == Origin().paths
    assert volume.image == "Test, 64x64x3"


@pytest.mark.anyio
async def test_a_server_that_is_down_is_named() -> None:
    listener = listen()
    host, port = address(listener)
    listener.close()
    async with Server(f"http://{host}:{port}") as server:
        with pytest.raises(OriginUnreachable, match=f"{host}:{port}"):
            await find_subjects(server)


@pytest.mark.parametrize(
    "url", ["", "origin", "ftp://origin/", "http://", "http://[", "http://a b/", "http://origin:port/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(url))):
        Server(url)


@pytest.mark.anyio
async def test_rows_come_in_order_with_limits_where_the_link_is_crossed() -> None:
    async with served(Origin()) as url, Server(url) as server:
        subjects = await find_subjects(server)
        setup = Setup(subjects[:1], url, None, parse_network("4g"), Link.ORIGIN, stack_samples=2)
        rows = [row async for row in measure(setup)]
    ways = (Way.WHOLE, Way.STREAMING, Way.RANGE)
    assert [(row.way, row.via, row.cache) for row in rows] == [(way, "direct", Cache.NONE) for way in ways]
    assert [row.first_bytes for row in rows] == [LARGE, 65536, 65536]
    assert rows[0].first_resolution is None  # random bytes are not a picture
    assert rows[2].first_limit_ms == pytest.approx(27.476, abs=0.001)
    assert all(len(row.samples) == 2 for row in rows)


@pytest.mark.anyio
async def test_through_a_proxy_cold_is_new_and_hot_is_a_hit() -> None:
    origin, proxy = Origin(), Origin(is_caching=True)
    proxy.frames = origin.frames
    async with served(origin) as url, served(proxy) as through, Server(url) as server:
        subjects = await find_subjects(server)
        setup = Setup(subjects[1:], url, through, parse_network("4g"), Link.ORIGIN)
        rows = [row async for row in measure(setup)]
    ways = len(WAYS[Kind.VOLUME])
    assert [row.cache for row in rows] == ways * [Cache.NONE, Cache.COLD, Cache.HOT]
    assert [row.final_limit_ms is None for row in rows] == ways * [False, False, True]
    assert [row.seen_limit_ms is None for row in rows] == ways * [False, False, True]
    assert len({query for _, query, _ in proxy.asked}) == ways  # one nonce per way


@pytest.mark.anyio
async def test_a_proxy_that_changes_a_byte_is_an_error_that_says_which_row() -> None:
    origin, proxy = Origin(), Origin()  # each has its own frames
    async with served(origin) as url, served(proxy) as through, Server(url) as server:
        subjects = await find_subjects(server)
        setup = Setup(subjects, url, through, parse_network("local"), Link.ORIGIN)
        with pytest.raises(MeasureError, match="Test, 64x64, whole, proxy cold: the frames differ"):
            _ = [row async for row in measure(setup)]

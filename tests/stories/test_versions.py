"""A frame that is replaced at an origin whose responses do not distinguish its two versions.

A viewer gets one version or an error, and an ETag never stands for two versions.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, identify
from proxy.frame.key import FrameKey
from proxy.wire.resource import FrameResource, parse_frame_path
from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, house
from tests.scripted_origin import FRAME, HANG_UP, LABEL, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

SIZE = 400_000
FIRST, REST = {"range": "bytes=0-65535"}, {"range": "bytes=65536-"}
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}
SMALL: dict[str, Any] = {"cache": {"bytes": "1MiB", "first_share": 1.0}}


@dataclass(frozen=True)
class Kind:
    """A kind of frame in which the proxy cannot distinguish two versions."""

    media: str
    start: bytes

    def version(self, seed: int, alike: int = 5000) -> bytes:
        """One of several versions of equal length, with equal first bytes."""
        shared = self.start + codestream(alike)[4:-2]
        return (shared + codestream(SIZE, seed=seed))[:SIZE]


KEY = FrameKey("pacs", b"", parse_frame_path(FRAME[1:]))
KINDS = {
    "JPEG-LS": Kind("image/jls; transfer-syntax=1.2.840.10008.1.2.4.80", b"\xff\xd8\xff\xf7"),
    "JPEG": Kind("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", b"\xff\xd8\xff\xe0"),
    "octets": Kind("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", b"\0\1\2\3"),
    "no HTJ2K": Kind(LABEL, b"\xff\x4f\xff\x52"),
}
GUARDS = {"none": "", "weak": 'W/"one"'}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
EVERY_GUARD = pytest.mark.parametrize("etag", GUARDS.values(), ids=GUARDS)


class Stored(ScriptedOrigin):
    """An origin with one frame at several paths. A test can replace the frame."""

    def __init__(self, kind: Kind, etag: str, body: bytes, *, is_multipart: bool = False) -> None:
        super().__init__(script=self._answer)
        self.kind = kind
        self.etag = etag
        self.body = body
        self.is_multipart = is_multipart
        self.hangs_up_at: int | None = None

    def _answer(self, asked: Asked) -> Reply | None:
        if "/instances/" not in asked.path:
            return None
        if self.is_multipart:
            if "multipart" not in asked.headers["accept"]:
                return Reply(406, {})
            body = b"--x\r\nContent-Type: %b\r\n\r\n%b\r\n--x--" % (self.kind.media.encode(), self.body)
            return honest(body, asked, etag=self.etag, label="multipart/related; boundary=x")
        reply = honest(self.body, asked, etag=self.etag, label=self.kind.media)
        at = self.hangs_up_at
        if at is None or not isinstance(reply.pieces[-1], bytes):
            return reply
        body = reply.pieces[-1]
        return Reply(reply.status, reply.headers | {"content-length": str(len(body))}, (body[:at], HANG_UP))


async def crowd_out(home: House) -> None:
    """Fills the cache until it holds only first pieces of the frames."""
    await home.until_inside(0)  # a frame that is being sent is not evicted
    key = FrameKey("pacs", b"", FrameResource("1", "2", "3", 1))
    body = bytes(1 << 20)[: 900 * 1024]
    frame = Frame(identify(Claim(LABEL, len(body), '"x"'), body), (body[:1], body[1:]), len(body))
    home.app.fills._store.put(key, frame)


async def got(home: House, path: str = FRAME, **headers: str) -> tuple[int, bytes]:
    """Status and body. The status is 0 for a truncated response."""
    accept = {"accept": "*/*"}
    try:
        answer = await home.viewer.get(path, headers=accept | headers)
    except httpx.TransportError:
        return 0, b""
    return answer.status_code, answer.content


async def inner(home: House, versions: list[bytes], **headers: str) -> int | None:
    """The index of the version in the only part of a response. None for an error, -1 for a mixture."""
    status, body = await got(home, **headers)
    if status not in (200, 206):
        return None
    found = body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    return versions.index(found) if found in versions else -1


@EVERY_KIND
@EVERY_GUARD
@pytest.mark.parametrize("is_multipart", [False, True], ids=["single", "multipart"])
async def test_after_an_eviction_a_first_piece_is_completed_by_no_other_version(
    kind: Kind, etag: str, is_multipart: bool
) -> None:
    versions = [kind.version(seed) for seed in (1, 2)]
    origin = Stored(kind, etag, versions[0], is_multipart=is_multipart)
    async with house(origin, **SMALL) as home:
        assert await inner(home, versions) == 0
        await home.until_idle()
        await crowd_out(home)
        assert await inner(home, versions) == 0
        await home.until_idle()
        await crowd_out(home)
        origin.body = versions[1]
        seen = [await inner(home, versions) for _ in range(4)]
        assert set(seen) <= {None, 1}
        assert seen[-1] == 1


@EVERY_KIND
@EVERY_GUARD
async def test_on_demand_a_rest_of_another_version_is_refused(kind: Kind, etag: str) -> None:
    old, new = (kind.version(seed) for seed in (1, 2))
    origin = Stored(kind, etag, old)
    async with house(origin, **LAZY) as home:
        before, _, _ = (await got(home, range="bytes=0-999"))[1].partition(b"\r\n\r\n")
        lead = len(before) + 4
        first = await got(home, **FIRST)
        await home.until_idle()
        origin.body = new
        assert (await got(home, **REST))[0] in (0, 502)
        await home.until_idle()
        status, rest = await got(home, **REST)
        assert (first[0], status) == (206, 206)
        assert rest.startswith(new[65536 - lead :])  # the viewer may hold the old first bytes, unnoticed


@EVERY_KIND
@EVERY_GUARD
async def test_on_demand_a_version_with_the_same_first_bytes_is_all_that_is_seen(
    kind: Kind, etag: str
) -> None:
    """This is no mixture, because the new version has the same first bytes."""
    old, new = (kind.version(seed, alike=100_000) for seed in (1, 2))
    origin = Stored(kind, etag, old)
    async with house(origin, **LAZY) as home:
        first = await got(home, **FIRST)
        await home.until_idle()
        origin.body = new
        rest = await got(home, **REST)
        assert (first[0], rest[0]) == (206, 206)
        assert new in first[1] + rest[1]


@EVERY_KIND
@EVERY_GUARD
async def test_after_an_origin_hung_up_nothing_is_put_behind_what_it_sent(kind: Kind, etag: str) -> None:
    versions = [kind.version(seed) for seed in (1, 2)]
    origin = Stored(kind, etag, versions[0])
    async with house(origin) as home:
        origin.hangs_up_at = 60_000
        await inner(home, versions)
        await home.until_idle()
        origin.hangs_up_at, origin.body = None, versions[1]
        seen = [await inner(home, versions) for _ in range(3)]
        assert set(seen) <= {None, 1}
        assert seen[-1] == 1


@EVERY_KIND
@EVERY_GUARD
async def test_an_alternate_of_the_origins_is_no_mixture_either(kind: Kind, etag: str) -> None:
    old, new = (kind.version(seed) for seed in (1, 2))
    origin, path = Stored(kind, etag, old), FRAME.replace("/frames/", "/jls/")
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls", "made": "never"}}
    async with house(origin, alternates=alternates, **LAZY) as home:
        await got(home, path, **FIRST)
        await home.until_idle()
        origin.body = new
        assert (await got(home, path, **REST))[0] in (0, 502)


@EVERY_GUARD
async def test_what_can_not_be_completed_is_asked_for_once_from_the_second_frame_on(etag: str) -> None:
    kind = KINDS["JPEG-LS"]
    origin = Stored(kind, etag, kind.version(1))
    async with house(origin) as home:
        paths = [FRAME.replace("frames/1", f"frames/{number}") for number in (1, 2, 3)]
        for path in paths:
            assert (await got(home, path))[0] == 200
        assert [origin.ranges_of(path) for path in paths] == [["bytes=0-65535", None], [None], [None]]


TWINS = [bytearray(htj2k(picture(448, 448, seed=1), **PARTS)) for _ in range(2)]
TWINS[1][-3000] ^= 1


@EVERY_GUARD
async def test_after_an_eviction_htj2k_whose_markers_fit_is_told_by_what_it_was(etag: str) -> None:
    kind, versions = Kind(LABEL, b""), [bytes(twin) for twin in TWINS]
    origin = Stored(kind, etag, versions[0])
    async with house(origin, **SMALL) as home:
        assert await inner(home, versions) == 0
        await home.until_idle()
        await crowd_out(home)
        assert await inner(home, versions) == 0
        assert origin.ranges[-1] == "bytes=65536-"
        await home.until_idle()
        await crowd_out(home)
        origin.body = versions[1]
        seen = [await inner(home, versions) for _ in range(3)]
        assert set(seen) <= {None, 1}
        assert seen[-1] == 1


async def test_a_completion_without_the_etag_that_the_first_fetch_had_is_none() -> None:
    """The origin ignores If-Range and returns the rest of its current version."""
    kind = KINDS["JPEG-LS"]
    old, new = (kind.version(seed) for seed in (1, 2))

    def script(asked: Asked) -> Reply | None:
        if asked.range != REST["range"]:
            return honest(old, asked, etag='"old"', label=kind.media) if "/frames/" in asked.path else None
        plain = Asked(asked.method, asked.path, {"range": REST["range"]})
        return honest(new, plain, etag="", label=kind.media)

    async with house(ScriptedOrigin(script=script)) as home:
        assert await inner(home, [old, new]) is None
        assert await inner(home, [old, new]) == 0


def opaque(answer: httpx.Response) -> str:
    return answer.headers["etag"].removeprefix("W/")


@EVERY_KIND
@EVERY_GUARD
async def test_one_etag_is_never_of_two_versions(kind: Kind, etag: str) -> None:
    versions = [kind.version(seed) for seed in (1, 2)]
    origin = Stored(kind, etag, versions[0])
    async with house(origin, cache={"ttl": 0.000_001}) as home:
        tags: list[str] = []
        for body in versions:
            origin.body = body
            for asked in (FIRST, {}):
                answer = await home.viewer.get(FRAME, headers=asked)
                assert not any(opaque(answer) == tag for tag in tags)
                for tag in tags:  # an ETag of the old version, or of another copy
                    again = await home.viewer.get(FRAME, headers={"if-none-match": tag, **FIRST})
                    assert again.status_code == 200
                    await home.until_idle()
                await home.until_idle()
            tags.append(opaque(answer))


async def test_a_whole_that_is_held_has_a_strong_etag_of_its_bytes() -> None:
    kind = KINDS["octets"]
    origin = Stored(kind, "", kind.version(1))
    async with house(origin) as home:
        await got(home)
        await home.until_idle()
        tag = (await home.viewer.get(FRAME)).headers["etag"]
        assert tag.startswith('"')
        rest = await home.viewer.get(FRAME, headers=REST | {"if-range": tag})
        assert rest.status_code == 206
        home.app.fills._store.drop(KEY)
        assert (await home.viewer.get(FRAME, headers=REST | {"if-range": tag})).status_code == 206
        assert (await home.viewer.get(FRAME)).headers["etag"] == tag


@pytest.mark.parametrize("name", ["if-range", "if-none-match"])
async def test_a_rest_that_a_strong_etag_guards_waits_until_the_bytes_name_the_version(name: str) -> None:
    """A browser keeps the first range under the ETag of the whole. The proxy has since evicted the frame."""
    kind = KINDS["JPEG-LS"]
    old, new = (kind.version(seed, alike=100_000) for seed in (1, 2))
    origin = Stored(kind, "", old)
    async with house(origin, **SMALL) as home:
        await got(home)
        await home.until_idle()
        first = await home.viewer.get(FRAME, headers=FIRST)
        for body in (old, new):
            await crowd_out(home)
            origin.body = body
            rest = await home.viewer.get(FRAME, headers=REST | {name: first.headers["etag"]})
            await home.until_idle()
            right = (304 if name == "if-none-match" else 206) if body is old else 416
            assert rest.status_code == right


@pytest.mark.parametrize("asked", [{}, FIRST, REST, {"method": "HEAD"}], ids=["GET", "FIRST", "REST", "HEAD"])
async def test_if_match_waits_until_the_bytes_name_the_version(asked: dict[str, str]) -> None:
    kind = KINDS["JPEG-LS"]
    old, new = (kind.version(seed, alike=100_000) for seed in (1, 2))
    origin = Stored(kind, "", old)
    method, headers = asked.get("method", "GET"), {k: v for k, v in asked.items() if k != "method"}
    async with house(origin) as home:
        await got(home)
        await home.until_idle()
        held = await home.viewer.get(FRAME)
        for body in (old, new):
            home.app.fills._store.drop(KEY)
            origin.body = body
            condition = {"if-match": held.headers["etag"]}
            answer = await home.viewer.request(method, FRAME, headers=headers | condition)
            await home.until_idle()
            if body is new:
                assert (answer.status_code, answer.headers["cache-control"]) == (412, "no-store")
                assert ("content-range" in answer.headers) == (asked == REST)
                assert bool(answer.content) == (asked == {})
            else:
                assert answer.status_code == (206 if "range" in asked else 200)


async def test_a_weak_etag_guards_no_range() -> None:
    kind, barrier = KINDS["JPEG-LS"], asyncio.Event()
    body = kind.version(1)

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        headers = {"content-type": kind.media, "content-length": str(len(body))}
        return Reply(200, headers, (body[:100_000], barrier, body[100_000:]))

    async with house(ScriptedOrigin(script=script)) as home:
        first = await home.viewer.get(FRAME, headers=FIRST)
        tag = first.headers["etag"]
        assert tag.startswith("W/")
        assert (await home.viewer.get(FRAME, headers={"if-none-match": tag})).status_code == 304
        for name in ("bytes=65536-", "bytes=65536-69999"):
            assert (await home.viewer.get(FRAME, headers={"range": name, "if-range": tag})).status_code == 416
        assert (await home.viewer.get(FRAME, headers={"if-match": tag})).status_code == 412
        rest = await home.viewer.get(FRAME, headers={"range": "bytes=65536-69999"})
        assert (rest.status_code, rest.headers["etag"]) == (206, tag)  # of the copy being fetched
        barrier.set()
        await home.until_idle()
        assert (await home.viewer.get(FRAME, headers={"if-none-match": tag})).status_code == 304

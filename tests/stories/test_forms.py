"""How the proxy requests frames of all kinds: exactly as they are stored, and with few requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from proxy.origin.forms import LEARNED_FOR, RELEARN, Asking
from proxy.origin.spellings import FREE
from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin, frame_of, honest

pytestmark = pytest.mark.anyio

AS_STORED = {"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
SINGLE = {"accept": "image/jphc"}
JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080010001001011100")
UID = "1.2.840.10008.1.2"
LABELS = {
    "htj2k": f"application/octet-stream; transfer-syntax={UID}.1",  # the label that Orthanc uses
    "jpeg": f"image/jpeg; transfer-syntax={UID}.4.50",
    "raw": f"application/octet-stream; transfer-syntax={UID}.1",
    "rle": f"image/dicom-rle; transfer-syntax={UID}.5",
}
STORED: Mapping[str, Callable[[int], bytes]] = {
    "htj2k": lambda seed: htj2k(picture(128, 128, seed=seed), **PARTS),
    "jpeg": lambda seed: JPEG_HEAD + bytes([seed]) * 17_000,
    "raw": lambda seed: bytes([seed]) * 60_000,
    "rle": lambda seed: bytes([1, 0, 0, 0, 64, 0, 0, 0]) + bytes([seed]) * 9_000,
}
DECOMPRESSED = bytes(196_608)
MOST_AT_FIRST = 8
"""Most requests for the very first frame of an origin."""


@dataclass
class Archive:
    """An archive like Orthanc.

    With `transfer-syntax=*` it returns frames as stored, but 500 for HTJ2K. Without it, it decompresses them.
    """

    kinds: dict[str, str]
    """The kind of the stored frame, by path."""
    transcodes: list[str] = field(default_factory=list)
    """Paths of the frames that it had to decompress."""
    in_trouble: str = ""
    """A path that it answers with 500 if the request wants the frame as stored."""

    def __post_init__(self) -> None:
        self.bodies = {path: STORED[kind](seed) for seed, (path, kind) in enumerate(self.kinds.items())}
        self.origin = ScriptedOrigin(script=self._script)

    def _script(self, asked: Asked) -> Reply | None:
        path, _, query = asked.path.partition("?")
        accept = "multipart/related" if query == "accept=image/jphc" else asked.headers["accept"]
        if "/frames/" not in path:
            return None
        if path not in self.kinds:
            return Reply(404, {})
        kind = self.kinds[path]
        if "multipart" not in accept or "jphc" in accept or "4.202" in accept:
            return Reply(400, {})
        if "transfer-syntax=*" in accept:
            if kind == "htj2k" or path == self.in_trouble:
                return Reply(500, {})
            return _part(LABELS[kind], self.bodies[path])
        if kind in ("htj2k", "raw"):
            return _part(LABELS[kind], self.bodies[path])
        self.transcodes.append(path)
        return _part(LABELS["raw"], DECOMPRESSED)

    def requests(self) -> list[int]:
        """Number of requests for each path, in order."""
        asked = [asked.path.partition("?")[0] for asked in self.origin.frame_requests]
        return [asked.count(path) for path in self.kinds]


def _part(label: str, body: bytes) -> Reply:
    whole = (
        f"--B\r\nContent-Type: {label}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n--B--"
    )
    return Reply(200, {"content-type": "multipart/related; boundary=B"}, (whole,))


def series(number: int, *kinds: str) -> dict[str, str]:
    """The paths of a series, with one frame of each of these kinds."""
    return {frame_of(image, f"{SERIES}.{number}"): kind for image, kind in enumerate(kinds)}


async def read(home: House, archive: Archive) -> None:
    """Reads every frame and checks that it is the stored one."""
    for path, body in archive.bodies.items():
        answer = await home.viewer.get(path, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, body), archive.kinds[path]
        await home.until_idle()


async def test_if_all_other_forms_are_refused_no_frame_is_asked_for_again() -> None:
    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        is_free = asked.headers["accept"] == "multipart/related" and "?" not in asked.path
        return _part(LABELS["raw"], DECOMPRESSED) if is_free else Reply(406, {})

    async with house(ScriptedOrigin(script=script)) as home:
        for image in range(3):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert (answer.status_code, answer.content) == (200, DECOMPRESSED)
            await home.until_idle()
        asked = [asked.path.partition("?")[0] for asked in home.origin.frame_requests]
        assert [asked.count(frame_of(image)) for image in (1, 2)] == [1, 1]


@pytest.mark.parametrize("first", ["htj2k", "jpeg", "rle", "raw"])
async def test_each_series_is_asked_as_it_is_stored_whatever_came_first(first: str) -> None:
    kinds = [first, "htj2k", "jpeg", "rle", "htj2k", "raw", "jpeg"]
    archive = Archive({p: k for n, kind in enumerate(kinds) for p, k in series(n, *[kind] * 4).items()})
    async with house(archive.origin) as home:
        await read(home, archive)
        assert archive.transcodes == []
        at_first, *others = archive.requests()
        assert at_first <= MOST_AT_FIRST
        by_series = [others[:3], *(others[at : at + 4] for at in range(3, len(others), 4))]
        assert all(max(each) <= 3 for each in by_series)
        assert all(each[1:] == [1] * (len(each) - 1) for each in by_series)


async def test_in_a_series_of_both_kinds_one_frame_is_decompressed_at_most() -> None:
    archive = Archive(series(0, *["htj2k"] * 5, *["jpeg", "htj2k"] * 8))
    async with house(archive.origin) as home:
        await read(home, archive)
        assert len(archive.transcodes) <= 1
        assert max(archive.requests()[1:]) <= 3


async def test_a_frame_that_failed_once_as_it_is_stored_is_asked_so_again() -> None:
    """A 500 can be a passing fault, so the proxy does not accept the decompressed frame right away."""
    archive = Archive(series(0, "jpeg", "jpeg", "jpeg"))
    path = list(archive.kinds)[1]
    script = archive.origin.script
    assert script is not None
    left = [Reply(500, {})]

    def fails_once(asked: Asked) -> Reply | None:
        is_meant = asked.path == path and "transfer-syntax=*" in asked.headers["accept"]
        return left.pop() if is_meant and left else script(asked)

    archive.origin.script = fails_once
    async with house(archive.origin) as home:
        await read(home, archive)


async def test_a_frame_that_is_not_given_as_it_is_stored_is_given_decompressed() -> None:
    archive = Archive(series(0, "jpeg", "jpeg"))
    archive.in_trouble = list(archive.kinds)[1]
    async with house(archive.origin) as home:
        for path in archive.kinds:
            answer = await home.viewer.get(path, headers=SINGLE)
            assert answer.status_code == 200
        assert answer.content == DECOMPRESSED


class Clock:
    """A clock that the test sets. It does not run by itself."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_learned_of_a_series_is_tried_anew_by_one_request() -> None:
    clock = Clock()
    asking = Asking("pacs", clock=clock)
    asking.worked("a", 1)
    asking.refused({0: 406})
    clock.now += LEARNED_FOR + 1
    assert [asking.first("a") for _ in range(3)] == [1, 1, 1]  # this form still works, so it is tried first
    assert next(asking.others("b", 1, 406)) == 0  # a refusal is forgotten
    asking.worked("a", 0)
    assert asking.first("a") == 0


def test_a_form_that_leaves_the_choice_is_not_learned_where_another_works() -> None:
    clock = Clock()
    asking = Asking("pacs", clock=clock)
    asking.worked("a", FREE[0])
    assert asking.first("b") not in FREE
    asking.worked("a", 2)
    assert asking.first("a") == 2
    for _ in range(RELEARN):
        asking.worked("a", FREE[0])
    assert asking.first("a") == 2
    clock.now += LEARNED_FOR + 1  # but not if the other form has not worked for a long time
    asking.worked("a", FREE[0])
    assert asking.first("a") == FREE[0]


def test_series_that_are_remembered_are_bounded() -> None:
    asking = Asking("pacs")
    for number in range(10_000):
        asking.worked(str(number), 0)
    assert len(asking._series) <= 4096  # the size has no public accessor


@pytest.mark.parametrize("status", [403, 405, 412, 501])
@pytest.mark.parametrize("is_multipart", [False, True])
async def test_an_origin_that_refuses_ranges_is_asked_once_without_one(
    status: int, is_multipart: bool
) -> None:
    bodies = [htj2k(picture(512, 512, seed=seed), **PARTS) for seed in range(4)]
    origin = ScriptedOrigin().with_series(bodies)

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path.partition("?")[0])
        if body is None:
            return None
        if ("multipart" in asked.headers["accept"]) is not is_multipart:
            return Reply(406, {})
        if asked.range:
            return Reply(status, {})
        return _part("image/jphc", body) if is_multipart else honest(body, asked, label="image/jphc")

    origin.script = script
    async with house(origin) as home:
        for image, body in enumerate(bodies):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert (answer.status_code, answer.content) == (200, body)
            part = await home.viewer.get(frame_of(image), headers={**SINGLE, "range": "bytes=0-99"})
            assert (part.status_code, part.content) == (206, body[:100])
            await home.until_idle()
        assert [origin.requests_of(frame_of(image)) for image in range(1, 4)] == [1, 1, 1]
        assert not (await home.admin.get("/v1/origins")).json()["pacs"]["ranges"]


@pytest.mark.parametrize("version", ["the same", "another"])
async def test_a_rest_whose_range_is_refused_is_taken_of_the_same_whole_only(version: str) -> None:
    old, new = (htj2k(picture(512, 512, seed=seed), **PARTS) for seed in (1, 2))
    origin = ScriptedOrigin({frame_of(0): old})

    def script(asked: Asked) -> Reply | None:
        if asked.path == frame_of(0) and asked.range == "bytes=65536-":
            origin.frames[frame_of(0)] = old if version == "the same" else new
            return Reply(403, {})
        return None

    origin.script = script
    profiles = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    async with house(origin, profiles=profiles, profile="lazy") as home:
        part = await home.viewer.get(frame_of(0), headers={**SINGLE, "range": "bytes=0-65535"})
        assert part.content == old[:65536]
        await home.until_idle()
        if version == "another":  # the response has already begun with the old first bytes
            with pytest.raises(httpx.TransportError):
                await home.viewer.get(frame_of(0), headers=SINGLE)
        answer = await home.viewer.get(frame_of(0), headers=SINGLE)
        assert answer.content == (old if version == "the same" else new)


async def test_who_is_refused_with_and_without_a_range_is_refused() -> None:
    origin = ScriptedOrigin(script=lambda asked: Reply(403, {}) if "/frames/" in asked.path else None)
    async with house(origin) as home:
        assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code == 403
        assert origin.ranges == ["bytes=0-65535", None]
        assert home.app.origins["pacs"].asking.takes_ranges

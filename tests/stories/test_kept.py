"""The lifetime of frames in the cache, and the callers that they are kept for."""

import asyncio
import json
import logging
from typing import Any

import pytest

from proxy.frame.scope import FrameScope
from tests.house import House, cache_did, house
from tests.scripted_origin import (
    FRAME,
    LABEL,
    OTHER_SERIES,
    SERIES,
    UID,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
)

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
ANNE, BOB = {"authorization": "Bearer a"}, {"authorization": "Bearer b"}
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}
BODY = codestream(200_000)
STUDY = f"/studies/{UID}.1"


class Saying(ScriptedOrigin):
    """An origin whose responses to frame requests carry these headers, or have this status."""

    def __init__(self, **headers: str) -> None:
        super().__init__({FRAME: BODY}, self._answer)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.status = 200
        self.refused: set[str] = set()
        """Values of Authorization that the origin refuses. An empty one stands for requests without it."""

    def _answer(self, asked: Asked) -> Reply | None:
        body = self.frames.get(asked.path)
        if body is None:
            return None
        if self.status != 200 and (not self.refused or asked.headers.get("authorization") in self.refused):
            return Reply(self.status, {})
        reply = honest(body, asked)
        return Reply(reply.status, reply.headers | self.headers, reply.pieces)


async def asks(home: House, who: dict[str, str] | None = None) -> int:
    """The number of requests that reach the origin when a viewer requests a frame twice."""
    before = home.origin.requests_of(FRAME)
    for _ in range(2):
        assert (await home.viewer.get(FRAME, headers=SINGLE | (who or {}))).content == BODY
        await home.until_idle()
    return home.origin.requests_of(FRAME) - before


KEPT_BY = {  # Cache-Control: is a frame kept for callers without a credential, and for one with it?
    "": (True, True),
    "public, max-age=60": (True, True),
    "private": (False, True),
    "private, max-age=60": (False, True),
    "no-store": (False, False),
    "no-cache": (False, False),
    "max-age=0, must-revalidate": (False, False),
    "max-age=60, s-maxage=0": (False, True),
    "max-age=0, s-maxage=60": (True, False),
}


@pytest.mark.parametrize(("value", "kept"), KEPT_BY.items(), ids=KEPT_BY)
async def test_cache_control_holds_as_for_a_shared_cache_and_in_a_partition_as_for_a_private_one(
    value: str, kept: tuple[bool, bool]
) -> None:
    async with house(Saying(cache_control=value)) as home:
        assert await asks(home) == (2 if kept[0] else 4)
        assert await asks(home, ANNE) == (2 if kept[1] else 4)


@pytest.mark.parametrize(
    "headers", [{"expires": "0"}, {"vary": "*"}, {"cache_control": "max-age=60", "age": "60"}]
)
async def test_expires_vary_and_age_hold(headers: dict[str, str]) -> None:
    async with house(Saying(**headers)) as home:
        assert await asks(home) == 4


async def test_with_access_shared_all_prove_nothing() -> None:
    async with house(Saying(cache_control="private"), access="shared") as home:
        assert await asks(home, ANNE) == 4


async def test_a_completion_that_says_no_store_counts_too() -> None:
    origin = Saying()
    async with house(origin, **LAZY) as home:
        await home.viewer.get(FRAME, headers=FIRST)
        await home.until_idle()
        origin.headers = {"cache-control": "no-store"}
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_idle()
        assert home.metric("cache_bytes", part="first") == 0


@pytest.mark.parametrize("value", ["private", "no-cache", "max-age=0, must-revalidate", "no-store"])
async def test_an_origin_that_is_trusted_not_to_change_is_kept_whatever_it_says_but_no_store(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "proxy.service.app"):
        async with house(Saying(cache_control=value), origin={"trust": "dicom"}) as home:
            assert await asks(home) == (4 if value == "no-store" else 2)
    said = [record for record in caplog.records if record.getMessage() == "frames are trusted not to change"]
    assert len(said) == 1


async def test_what_is_private_is_not_given_to_another_who_waits_for_the_same() -> None:
    barrier = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        reply = honest(BODY, asked)
        body = reply.pieces[-1]
        assert isinstance(body, bytes)
        size, reply = str(len(body)), Reply(reply.status, reply.headers, (body[:5000], barrier, body[5000:]))
        return Reply(
            reply.status, reply.headers | {"cache-control": "private", "content-length": size}, reply.pieces
        )

    async with house(ScriptedOrigin(script=script)) as home:
        both = [asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE)) for _ in range(2)]
        await home.until(lambda: home.origin.requests_of(FRAME) == 4)
        barrier.set()
        assert [answer.content for answer in await asyncio.gather(*both)] == [BODY] * 2
        own = [home.viewer.get(FRAME, headers=SINGLE | ANNE) for _ in range(2)]
        assert [answer.content for answer in await asyncio.gather(*own)] == [BODY] * 2
        assert home.origin.requests_of(FRAME) == 6  # a credential is one user, however often it is used


PAGES = {
    "HTML": b"\n<!DOCTYPE html>\n<title>Who are you?</title>" + b"<p>%s</p>" % ("Grüße".encode() * 3000),
    "short": b"<html>who are you?</html>",
    "words": b"Please log in.\r\n",
    "JSON": b'{"error": "token expired"}',
    "XML": b'\xef\xbb\xbf<?xml version="1.0"?><error/>',
    "HTML in Latin-1": "<!DOCTYPE html>\n<title>Grüße, Ärzte</title>".encode("latin-1") + b"<p>" * 3000,
    "HTML in UTF-16": "<html><title>Anmeldung</title></html>".encode("utf-16") * 100,
    "HTML with a zero in it": b"<html><body>\0</body></html>",
    "a form": b'<form action="/login"><input name="user"></form>' + b"\n" * 3000,
    "SOAP": b"<soap:Envelope>" + b" " * 3000,
}
LABELS = [
    LABEL,
    "image/jls",
    "application/octet-stream",
    "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("label", LABELS)
async def test_a_text_that_is_labelled_as_a_frame_is_none_and_not_kept(label: str, page: bytes) -> None:
    is_logged_in = False

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        return honest(BODY, asked) if is_logged_in else Reply(200, {"content-type": label}, (page,))

    async with house(ScriptedOrigin(script=script)) as home:
        for headers in (SINGLE, FIRST):
            answer = await home.viewer.get(FRAME, headers=headers)
            assert answer.status_code == 502
            assert page not in answer.content
        await home.until_idle()
        assert home.metric("cache_bytes", part="first") == 0
        is_logged_in = True
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY


async def test_words_in_latin_1_are_no_picture_of_a_codec() -> None:
    page = "Zugriff nur für Ärzte".encode("latin-1")
    origin = ScriptedOrigin(script=lambda asked: honest(page, asked) if asked.path == FRAME else None)
    async with house(origin) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502


@pytest.mark.parametrize("raw", [b"<<" * 40_000, b"@" * 80_000, b"ab \n" * 20_000], ids=["<", "@", "words"])
async def test_raw_pixels_that_happen_to_be_letters_are_a_frame(raw: bytes) -> None:
    media = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    origin = ScriptedOrigin(
        script=lambda asked: honest(raw, asked, label=media) if asked.path == FRAME else None
    )
    async with house(origin) as home:
        answer = await home.viewer.get(FRAME)
        assert answer.status_code == 200
        assert raw in answer.content


async def test_a_refused_completion_gives_what_is_held_no_new_lifetime() -> None:
    origin = Saying()
    async with house(origin, cache={"ttl": 2}, **LAZY) as home:
        await home.viewer.get(FRAME, headers=FIRST)
        await home.until_idle()
        store = home.app.fills._store
        key = next(iter(store._firsts))  # type: ignore[attr-defined]
        until = store._firsts[key].expires  # type: ignore[attr-defined]
        origin.status = 500
        for _ in range(2):
            await home.viewer.get(FRAME, headers=REST)
            await home.until_idle()
            assert store._firsts[key].expires == until  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_what_an_origin_takes_back_is_dropped(status: int) -> None:
    """401 and 403 drop the frames of that caller, 404 and 410 those of all."""
    origin = Saying()
    async with house(origin, access="credential", **LAZY) as home:
        for who in (ANNE, BOB):
            await home.viewer.get(FRAME, headers=FIRST | who)
            await home.viewer.get(FRAME + "?x=1", headers=FIRST | who)
            await home.until_idle()
        origin.status, origin.refused = status, {ANNE["authorization"]}
        assert (await home.viewer.get(FRAME, headers=REST | ANNE)).status_code == status
        await home.until_idle()
        for path in (FRAME, FRAME + "?x=1"):
            again = await home.viewer.get(path, headers=FIRST | ANNE)
            assert (again.status_code, cache_did(again)) == (status, "") or path != FRAME
            assert cache_did(again) != "hit"
        bobs = await home.viewer.get(FRAME, headers=FIRST | BOB)
        assert cache_did(bobs) == ("hit" if status in (401, 403) else "fwd=miss; stored")


async def test_a_404_at_the_path_of_an_alternate_drops_no_frame() -> None:
    origin = Saying()
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls", "made": "never"}}
    async with house(origin, alternates=alternates) as home:
        await asks(home)
        assert (await home.viewer.get(FRAME.replace("/frames/", "/jls/"))).status_code == 404
        assert await asks(home) == 0


async def test_the_proxys_own_credentials_refused_drop_it_too(tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    origin = Saying()
    async with house(origin, origin={"credentials": {"bearer_file": str(token)}}, **LAZY) as home:
        await home.viewer.get(FRAME, headers=FIRST)
        await home.until_idle()
        origin.status = 403
        assert (await home.viewer.get(FRAME, headers=REST)).status_code == 502
        await home.until_idle()
        assert (await home.viewer.get(FRAME, headers=FIRST)).status_code == 502


NEW = codestream(200_000, seed=2)
OTHER = f"/studies/{UID}.9/series/{UID}.8"


class Archive(ScriptedOrigin):
    """An origin that accepts new instances. It has three series of two studies, with two instances each."""

    def __init__(self, answer: Reply | None = None) -> None:
        super().__init__(script=self._answer)
        for series in (SERIES, OTHER_SERIES, OTHER):
            self.with_series([BODY, BODY], series)
        self.answer = answer or Reply(200, {}, (b"done",))

    def _answer(self, asked: Asked) -> Reply | None:
        if asked.method in ("GET", "HEAD", "OPTIONS"):
            return None
        if self.answer.status < 300:
            self.frames = dict.fromkeys(self.frames, NEW)
        return self.answer

    @property
    def all(self) -> list[str]:
        return [frame_of(image, series) for series in (SERIES, OTHER_SERIES, OTHER) for image in (0, 1)]


async def dropped(home: House, method: str, path: str, **headers: str) -> list[int]:
    """The indices of the frames that are no longer a hit after a request."""
    archive = home.origin
    assert isinstance(archive, Archive)
    for frame in archive.all:
        for who in (ANNE, {}):
            await home.viewer.get(frame, headers=SINGLE | who)
    await home.until_idle()
    await home.viewer.request(method, path, content=b"DICOM", headers=headers)
    found = []
    for number, frame in enumerate(archive.all):
        did = {cache_did(await home.viewer.get(frame, headers=SINGLE | who)) for who in (ANNE, {})}
        assert len(did) == 1
        if did != {"hit"}:
            found.append(number)
    return found


INSTANCE = frame_of(0).removesuffix("/frames/1")
CHANGES = {
    "STOW into a study": ("POST", STUDY, [0, 1, 2, 3]),
    "DELETE of a study": ("DELETE", STUDY, [0, 1, 2, 3]),
    "DELETE in capitals": ("DELETE", STUDY.replace("studies", "Studies"), [0, 1, 2, 3]),
    "DELETE of a series": ("DELETE", SERIES, [0, 1]),
    "DELETE of an instance": ("DELETE", INSTANCE, [0]),
    "PUT of metadata": ("PUT", f"{INSTANCE}/metadata", [0]),
    "PATCH of a study": ("PATCH", f"{STUDY}/metadata", [0, 1, 2, 3]),
    "POST to a frame": ("POST", frame_of(1), [1]),
    "otherwise spelled": ("DELETE", "/studies//" + f"{UID}.1".replace("1.2", "1%2E2", 1) + "/", [0, 1, 2, 3]),
    "a search": ("GET", "/studies?limit=1", []),
    "of something else": ("POST", "/workitems", []),
}


@pytest.mark.parametrize(("method", "path", "numbers"), CHANGES.values(), ids=CHANGES)
async def test_an_unsafe_request_drops_what_it_names(method: str, path: str, numbers: list[int]) -> None:
    async with house(Archive()) as home:
        assert await dropped(home, method, path) == numbers


def stow(*studies: str, slash: str = "/") -> bytes:
    urls = [f"https://pacs/x/{study.strip('/')}".replace("/", slash) for study in studies]
    return b'{"00081190": {"vr": "UR", "Value": ["%s"]}}' % '","'.join(urls).encode()


ANSWERS = {
    "JSON": (Reply(200, {}, (stow(STUDY),)), [0, 1, 2, 3]),
    "JSON with escapes": (Reply(200, {}, (stow(STUDY, slash="\\/"),)), [0, 1, 2, 3]),
    "in pieces": (Reply(202, {}, tuple(bytes([b]) for b in stow(STUDY))), [0, 1, 2, 3]),
    "XML": (
        Reply(
            200,
            {},
            (b"<Value>http://x%b/series/1/instances/2</Value>" % OTHER.rpartition("/series")[0].encode(),),
        ),
        [4, 5],
    ),
    "a study that was not held": (Reply(200, {}, (stow("/studies/7"),)), []),
    "none": (Reply(200, {}, (b"{}",)), [0, 1, 2, 3, 4, 5]),
    "packed": (Reply(200, {"content-encoding": "gzip"}, (b"\x1f\x8b",)), [0, 1, 2, 3, 4, 5]),
    "refused": (Reply(409, {}, (stow(STUDY),)), []),
    "failed": (Reply(500, {}, ()), []),
}


@pytest.mark.parametrize(("answer", "numbers"), ANSWERS.values(), ids=ANSWERS)
async def test_a_stow_without_a_study_drops_those_that_its_answer_names(
    answer: Reply, numbers: list[int]
) -> None:
    async with house(Archive(answer)) as home:
        assert await dropped(home, "POST", "/studies") == numbers


@pytest.mark.parametrize("status", [401, 403, 404, 409])
async def test_an_unsafe_request_that_is_refused_drops_nothing(status: int) -> None:
    async with house(Archive(Reply(status, {}))) as home:
        assert await dropped(home, "DELETE", STUDY) == []


async def test_an_old_version_that_is_on_its_way_does_not_come_back() -> None:
    barrier, has_begun = asyncio.Event(), asyncio.Event()
    archive = Archive()
    plain = archive._answer

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME_0 or barrier.is_set():
            return plain(asked)
        has_begun.set()
        reply = honest(BODY, asked)
        body = reply.pieces[-1]
        assert isinstance(body, bytes)
        size = {"content-length": str(len(body))}
        return Reply(reply.status, reply.headers | size, (body[:50_000], barrier, body[50_000:]))

    archive.script = script
    async with house(archive) as home:
        old = asyncio.create_task(home.viewer.get(FRAME_0, headers=SINGLE))
        await has_begun.wait()
        assert (await home.viewer.delete(STUDY)).status_code == 200
        barrier.set()
        assert (await home.viewer.get(FRAME_0, headers=SINGLE)).content == NEW
        await old
        await home.until(lambda: home.metric("fills_in_flight") == 0)
        assert (await home.viewer.get(FRAME_0, headers=SINGLE)).content == NEW


FRAME_0 = frame_of(0)


async def test_a_study_that_changes_is_listed_and_learned_anew() -> None:
    archive = Archive()
    settings: dict[str, Any] = {"choose": [{"profile": "single", "modality": "CT"}]}
    async with house(archive, **settings) as home:
        await home.viewer.get(FRAME_0, headers=SINGLE)
        metadata = f"{SERIES}/metadata"
        await home.until(lambda: archive.requests_of(metadata) == 1)
        await home.viewer.get(FRAME_0, headers=SINGLE)
        assert archive.requests_of(metadata) == 1
        assert home.app.fills._learned._ends
        await home.viewer.delete(STUDY)
        assert not home.app.fills._learned._ends
        await home.viewer.get(FRAME_0, headers=SINGLE)
        await home.until(lambda: archive.requests_of(metadata) == 2)


async def test_what_a_name_drops_is_all_that_is_made_of_its_frames() -> None:
    archive = Archive()
    instances = json.loads(archive.metadata[f"{SERIES}/metadata"])
    pixels = {
        "00280010": 8,
        "00280011": 8,
        "00280002": 1,
        "00280100": 8,
        "00280101": 8,
        "00280102": 7,
        "00280103": 0,
    }
    for instance in instances:
        instance |= {tag: {"vr": "US", "Value": [value]} for tag, value in pixels.items()}
        instance["00280004"] = {"vr": "CS", "Value": ["MONOCHROME2"]}
    archive.metadata[f"{SERIES}/metadata"] = json.dumps(instances).encode()
    raw = [bytes(range(64)), bytes(range(64))[::-1]]
    media = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    archive.script = lambda asked: (
        honest(raw[0], asked, label=media)
        if asked.path == FRAME_0 and asked.method == "GET"
        else archive._answer(asked)
    )
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls"}}
    paths = [FRAME_0.replace("/frames/", "/jls/"), f"{FRAME_0}/rendered"]
    async with house(archive, alternates=alternates, origin={"rendered": "proxy"}) as home:
        first = [(await home.viewer.get(path)).content for path in paths]
        await home.until_idle()
        assert [cache_did(await home.viewer.get(path)) for path in paths] == ["hit", "hit"]
        raw[0] = raw[1]
        await home.viewer.delete(INSTANCE)
        again = [await home.viewer.get(path) for path in paths]
        assert [cache_did(answer) for answer in again] == ["fwd=miss; stored"] * 2
        assert all(one.content != other for one, other in zip(again, first, strict=True))


async def test_a_name_of_one_frame_and_of_a_whole_origin() -> None:
    async with house(Archive()) as home:
        assert await dropped(home, "GET", "/studies") == []
        home.app.forget(FrameScope("other"))
        assert home.metric("cache_bytes", part="first") > 0
        home.app.forget(FrameScope("pacs"))
        assert home.metric("cache_bytes", part="first") == 0

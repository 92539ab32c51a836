"""If one caller is refused an alternate, nothing changes for other callers or other instances."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.house import House, house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin, frame_of
from tests.stories.test_alternates import PIXELS, uncompressed

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

JLS: dict[str, Any] = {"jls": {"path": "/jls/", "codec": "jpegls", "made": "if-missing"}}
OURS: dict[str, Any] = {"alternates": JLS, "origin": {"rendered": "if-missing"}}
KINDS = {"jls": "image/jls", "rendered": "image/png", "thumbnail": "image/png"}
THEIRS = b"\xff\xd8\xff\xf7" + bytes(range(256)) * 2


def path_of(kind: str, image: int = 0, number: int = 1) -> str:
    """The path of an alternate or a picture."""
    frame = frame_of(image).removesuffix("1") + str(number)
    return frame.replace("/frames/", "/jls/") if kind == "jls" else f"{frame}/{kind}"


def kind_of(asked: Asked) -> str:
    """The kind of picture that a request asks for. Empty for anything else."""
    return next((kind for kind in KINDS if f"/{kind}" in asked.path), "")


def origin_of(refusals: list[tuple[str, int]], images: int = 2) -> ScriptedOrigin:
    """An origin with alternates and pictures of its own. It refuses the paths and callers in `refusals`."""

    def script(asked: Asked) -> Reply | None:
        kind = kind_of(asked)
        if not kind:
            return None
        for part, status in refusals:
            if part in asked.path or part == asked.headers.get("authorization"):
                return Reply(status, {"content-type": "text/plain"}, (b"not here",))
        return Reply(200, {"content-type": KINDS[kind]}, (THEIRS,))

    origin = uncompressed(images, script)
    whole = origin.frames[frame_of(0)]
    origin.frames |= {frame_of(0).removesuffix("1") + str(number): whole for number in (2, 3)}
    return origin


async def get(home: House, path: str, caller: str = "one", method: str = "GET") -> httpx.Response:
    kind = next(kind for kind in KINDS if f"/{kind}" in path)
    headers = {"accept": KINDS[kind], "authorization": caller}
    answer = await home.viewer.request(method, path, headers=headers)
    await home.until_idle()
    return answer


def asked_for(home: House, kind: str) -> set[str]:
    """The paths of this kind that the origin was asked for. Forgets all requests so far."""
    paths = {asked.path.partition("?")[0] for asked in home.origin.asked if kind_of(asked) == kind}
    home.origin.asked.clear()
    return paths


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *[(kind, status) for kind in KINDS for status in (400, 404, 405, 406, 410, 415)],
        ("rendered", 501),
        ("thumbnail", 501),
    ],
)
async def test_a_refusal_of_one_caller_changes_nothing_for_another(kind: str, status: int) -> None:
    async with house(origin_of([("one", status)]), **OURS, access="credential") as home:
        ours = await get(home, path_of(kind))
        assert (ours.status_code, ours.content == THEIRS) == (200, False)
        assert (await get(home, path_of(kind), "two")).content == THEIRS


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_of_one_instance_changes_nothing_for_others(kind: str) -> None:
    async with house(origin_of([(frame_of(0).removesuffix("/frames/1"), 404)]), **OURS) as home:
        assert (await get(home, path_of(kind, 0))).content != THEIRS
        assert (await get(home, path_of(kind, 1))).content == THEIRS


@pytest.mark.parametrize("kind", KINDS)
async def test_an_origin_that_lacks_it_is_asked_once_an_instance(kind: str) -> None:
    async with house(origin_of([(SERIES, 404)]), **OURS) as home:
        for number in (1, 2, 3):
            assert (await get(home, path_of(kind, 0, number))).status_code == 200
        assert asked_for(home, kind) == {path_of(kind, 0, 1)}


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_learned_of_a_400(kind: str) -> None:
    async with house(origin_of([(SERIES, 400)]), **OURS) as home:
        for number in (1, 2):
            assert (await get(home, path_of(kind, 0, number))).status_code == 200
        assert asked_for(home, kind) == {path_of(kind, 0, 1), path_of(kind, 0, 2)}


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_learned_of_a_frame_that_there_is_not(kind: str) -> None:
    """If it were, one bad request could switch everybody without credentials to the proxy's own pictures."""
    missing = path_of(kind, 0, 77)
    async with house(origin_of([(missing, 404)]), **OURS) as home:
        assert (await get(home, missing)).status_code == 404
        assert (await get(home, path_of(kind, 0, 1))).content == THEIRS


@pytest.mark.parametrize("kind", ["rendered", "thumbnail"])
@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 404), ("HEAD", 405), ("HEAD", 501), ("GET", 406), ("GET", 415)]
)
async def test_nothing_is_learned_of_what_may_be_for_the_method_or_the_media_type(
    kind: str, method: str, status: int
) -> None:
    refusals = [(SERIES, status)]
    async with house(origin_of(refusals), **OURS) as home:
        assert (await get(home, path_of(kind), method=method)).status_code == 200
        refusals.clear()
        assert (await get(home, path_of(kind))).content == THEIRS


async def test_a_thumbnail_that_is_refused_is_not_a_picture_that_is() -> None:
    async with house(origin_of([("/thumbnail", 404)]), **OURS) as home:
        assert (await get(home, path_of("thumbnail"))).content != THEIRS
        assert (await get(home, path_of("rendered"))).content == THEIRS


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_200_unlearns_it(kind: str) -> None:
    """The response was on its way while another frame of the instance was refused."""
    held, slow, gone = asyncio.Event(), path_of(kind, 0, 2), path_of(kind, 0, 1)
    is_gone = True

    def script(asked: Asked) -> Reply | None:
        if asked.path.startswith(slow):
            return Reply(200, {"content-type": KINDS[kind]}, (held, THEIRS))
        if kind_of(asked):
            return Reply(404, {}) if is_gone else Reply(200, {"content-type": KINDS[kind]}, (THEIRS,))
        return None

    origin = origin_of([])
    plain = origin.script
    origin.script = lambda asked: script(asked) or (plain(asked) if plain else None)
    async with house(origin, **OURS) as home:
        waiting = asyncio.create_task(get(home, slow))
        await home.until(lambda: bool(origin.requests_of(slow)))
        headers = {"accept": KINDS[kind], "authorization": "one"}
        assert (await home.viewer.get(gone, headers=headers)).content != THEIRS
        is_gone = False
        held.set()
        assert (await waiting).content == THEIRS
        assert (await get(home, path_of(kind, 0, 3))).content == THEIRS


async def test_a_plan_learns_it_for_its_own_caller_alone() -> None:
    async with house(origin_of([("one", 404)], images=3), **OURS, access="credential") as home:
        for caller, is_theirs in (("one", False), ("two", True)):
            headers = {"authorization": caller}
            made = await home.ask_plan("jlsReduced", headers=headers)
            assert (await home.events(made.headers["location"], headers))[-1][1]["state"] == "done"
            for image in range(3):
                answer = await get(home, path_of("jls", image), caller)
                assert (answer.content == THEIRS) is is_theirs


async def test_a_refusal_in_the_middle_of_an_answer_ends_it_and_begins_no_other() -> None:
    """The head of a response is sent only once, whatever the origin answers to later requests."""
    theirs = PIXELS.tobytes() * 2

    def script(asked: Asked) -> Reply | None:
        if "/jls/" not in asked.path:
            return None
        if asked.range is None or asked.range.startswith("bytes=0-"):
            head = {"content-type": "image/jls", "etag": '"a"'}
            said = {"content-range": f"bytes 0-65535/{len(theirs)}"}
            return Reply(206, head | said, (theirs[:65536],))
        return Reply(404, {})

    async with house(uncompressed(script=script), alternates=JLS) as home:
        with pytest.raises(httpx.TransportError):
            await get(home, path_of("jls"))
        assert home.metric("cut_answers_total", reason="OriginRefused") == 1

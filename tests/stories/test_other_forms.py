"""Frames in forms that are not HTJ2K: each has its own place in the cache, and goes the way of a frame."""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import pytest

from proxy.wire.multipart import read_part_head
from tests.codestreams import picture
from tests.guarded_origin import GuardedOrigin, guarded
from tests.house import House, cache_did, house
from tests.scripted_origin import LABEL, SERIES, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.stories.test_disk import settings_at
from tests.stories.test_plans import prefetching, until_plan_ended
from tests.studies import row_of

pytestmark = pytest.mark.anyio

UID = "1.2.840.10008.1.2"
STUDY = SERIES.split("/")[2]
JSON = {"content-type": "application/dicom+json"}
FRAME = frame_of(0)
SIZE = 150_000
J2K = bytes(imagecodecs.jpeg2k_encode(picture(300, 300, seed=9), codecformat="j2k", level=0, reversible=True))


def noise(begin: bytes, seed: int) -> bytes:
    return begin + random.Random(seed).randbytes(SIZE - len(begin))


@dataclass(frozen=True)
class Form:
    accept: str
    """As a single part."""
    label: str
    """As the origin says it."""
    body: bytes

    @property
    def multipart(self) -> str:
        name, _, parameter = self.accept.partition(";")
        return f'multipart/related; type="{name}"' + (f";{parameter}" if parameter else "")

    @property
    def told(self) -> str:
        """As the viewer is told."""
        return self.label.replace(" ", "")


JLS = Form("image/jls", f"image/jls; transfer-syntax={UID}.4.80", noise(b"\xff\xd8\xff\xf7", 1))
JPEG = Form("image/jpeg", f"image/jpeg; transfer-syntax={UID}.4.50", noise(b"\xff\xd8\xff\xc0", 2))
HTJ2K = Form("image/jphc", LABEL, codestream(SIZE, 3))
FORMS = {
    "JPEG-LS": JLS,
    "JPEG": JPEG,
    "lossless JPEG": Form(
        f"image/jpeg; transfer-syntax={UID}.4.70",
        f"image/jpeg; transfer-syntax={UID}.4.70",
        noise(b"\xff\xd8\xff\xc3", 4),
    ),
    "JPEG 2000": Form("image/jp2", f"image/jp2; transfer-syntax={UID}.4.90", J2K),
    "RLE": Form("image/dicom-rle", f"image/dicom-rle; transfer-syntax={UID}.5", noise(b"\1\0\0\0", 5)),
    "pixels": Form(
        "application/octet-stream",
        f"application/octet-stream; transfer-syntax={UID}.1",
        noise(b"\1\2\3\4", 6),
    ),
    "octets with a transfer syntax": Form(
        f"application/octet-stream; transfer-syntax={UID}.4.80",
        f"application/octet-stream; transfer-syntax={UID}.4.80",
        noise(b"\xff\xd8\xff\xf7", 7),
    ),
}


def answer(asked: Asked, forms: Mapping[str, Form], *before: asyncio.Event) -> Reply | None:
    """The frame in the form of the Accept, as a single part; 406 if it is not among `forms`."""
    if "/frames/" not in asked.path:
        return None
    form = forms.get(asked.headers["accept"])
    if form is None:
        return Reply(406, {"content-type": "text/plain"}, (b"not in this form",))
    return honest(form.body, asked, label=form.label, before=before)


def origin_of(*forms: Form, images: int = 1) -> ScriptedOrigin:
    by_accept = {form.accept: form for form in forms}
    origin = ScriptedOrigin(script=lambda asked: answer(asked, by_accept))
    return origin.with_series([b""] * images)


def of_a_study(*forms: Form, images: int) -> ScriptedOrigin:
    """The same, with a search for its series and one for its study."""
    origin, by_accept = origin_of(*forms, images=images), {form.accept: form for form in forms}
    _, _, study, _, series = SERIES.split("/")
    rows = json.dumps([row_of(study=study, series=series, instances=images, of_study=images)]).encode()

    def found(asked: Asked) -> Reply | None:
        is_search = asked.path.partition("?")[0] in ("/studies", f"/studies/{study}/series")
        is_search = is_search and asked.path != "/studies?limit=1"
        return Reply(200, JSON, (rows,)) if is_search else answer(asked, by_accept)

    origin.script = found
    return origin


async def get(home: House, accept: str, path: str = FRAME, **headers: str) -> httpx.Response:
    got = await home.viewer.get(path, headers={"accept": accept} | headers)
    await home.until_idle()
    return got


def accepts(origin: ScriptedOrigin) -> list[str]:
    return [asked.headers["accept"] for asked in origin.frame_requests]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_each_form_is_fetched_once_and_kept(form: Form) -> None:
    async with house(origin_of(form), profile="single") as home:
        first = await get(home, form.accept)
        assert (first.status_code, first.content, first.headers["content-type"]) == (
            200,
            form.body,
            form.told,
        )
        assert cache_did(first) == "fwd=miss; stored"
        again = await get(home, form.accept)
        assert (again.content, cache_did(again), again.headers["etag"]) == (
            form.body,
            "hit",
            first.headers["etag"],
        )
        part = await get(home, form.accept, range="bytes=70000-79999")
        assert (part.status_code, part.content, cache_did(part)) == (206, form.body[70_000:80_000], "hit")
        unchanged = await get(home, form.accept, **{"if-none-match": first.headers["etag"]})
        assert unchanged.status_code == 304
        head = await home.viewer.head(FRAME, headers={"accept": form.accept})
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(form.body)))
        assert accepts(home.origin) == [form.accept]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_viewers_at_once_share_one_fetch_of_a_form(form: Form) -> None:
    barrier = asyncio.Event()
    origin = ScriptedOrigin(script=lambda asked: answer(asked, {form.accept: form}, barrier))
    async with house(origin, profile="single") as home:
        asking = [asyncio.create_task(get(home, form.accept)) for _ in range(5)]
        await home.until(lambda: len(origin.frame_requests) == 1 and home.door.inside == 5)
        barrier.set()
        answers = await asyncio.gather(*asking)
        assert {each.content for each in answers} == {form.body}
        assert sorted(map(cache_did, answers)) == [*["fwd=miss; collapsed"] * 4, "fwd=miss; stored"]
        assert len(origin.frame_requests) == 1


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_range_of_a_form_is_fetched_as_a_range_and_completed(form: Form) -> None:
    async with house(origin_of(form)) as home:
        first = await get(home, form.accept, range="bytes=0-65535")
        assert (first.status_code, first.content) == (206, form.body[:65536])
        rest = await get(home, form.accept, range="bytes=65536-", **{"if-range": first.headers["etag"]})
        assert (rest.status_code, rest.content) == (206, form.body[65536:])
        asked = {each.range for each in home.origin.frame_requests}
        assert asked == {"bytes=0-65535", "bytes=65536-"}
        assert set(accepts(home.origin)) == {form.accept}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_the_envelope_is_the_proxys_own(form: Form) -> None:
    async with house(origin_of(form), profile="single") as home:
        wrapped = await get(home, form.multipart)
        head = read_part_head(wrapped.content)
        assert head is not None
        assert wrapped.headers["content-type"].startswith(
            f'multipart/related; type="{form.told.split(";")[0]}"'
        )
        assert wrapped.content[head.offset :].startswith(form.body)
        assert (await get(home, form.accept)).content == form.body
        assert accepts(home.origin) == [form.accept]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_an_origin_that_knows_only_multipart_is_asked_so(form: Form) -> None:
    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        if asked.headers["accept"] != form.multipart:
            return Reply(406, {})
        body = b"--b\r\nContent-Type: %s\r\n\r\n%s\r\n--b--" % (form.label.encode(), form.body)
        return Reply(200, {"content-type": "multipart/related; boundary=b"}, (body,))

    origin = ScriptedOrigin(script=script)
    async with house(origin, profile="single") as home:
        for did in ("fwd=miss; stored", "hit"):
            got = await get(home, form.accept)
            assert (got.content, got.headers["content-type"], cache_did(got)) == (form.body, form.told, did)
        before = len(origin.frame_requests)
        assert (await get(home, form.accept, FRAME.replace("frames/1", "frames/2"))).content == form.body
        assert len(origin.frame_requests) == before + 1, "the origin was asked in a way that does not work"


async def test_viewers_of_different_forms_never_get_each_others_bytes() -> None:
    forms = [HTJ2K, *FORMS.values()]
    barrier = asyncio.Event()
    by_accept = {form.accept: form for form in forms}
    origin = ScriptedOrigin(script=lambda asked: answer(asked, by_accept, barrier))
    async with house(origin, profile="single") as home:
        asking = [asyncio.create_task(get(home, form.accept)) for form in forms]
        await home.until(lambda: len(origin.frame_requests) == len(forms))
        barrier.set()
        cold = await asyncio.gather(*asking)
        hot = [await get(home, form.accept) for form in forms]
        for form, *answers in zip(forms, cold, hot, strict=True):
            assert {each.content for each in answers} == {form.body}
            assert {each.headers["content-type"] for each in answers} == {form.told}
            assert {each.headers["vary"] for each in answers} == {"Accept"}
        assert len({each.headers["etag"] for each in hot}) == len(forms)
        assert [cache_did(each) for each in hot] == ["hit"] * len(forms)
        assert len(origin.frame_requests) == len(forms)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/jls, image/jphc;q=0.5", JLS),
        ("image/jphc;q=0.4, image/jls;q=0.5", JLS),
        ("image/jls, image/jphc", HTJ2K),
        ("image/jls;q=0.5, */*;q=0.1, image/jpeg;q=0.7", JPEG),
        ("image/*, image/jls;q=0.9", HTJ2K),
        ("image/jls;q=0, image/jpeg;q=0.1", JPEG),
    ],
)
async def test_weights_and_wildcards_decide(accept: str, expected: Form) -> None:
    async with house(origin_of(HTJ2K, JLS, JPEG), profile="single") as home:
        got = await get(home, accept)
        assert (got.content, got.headers["content-type"]) == (expected.body, expected.told)


@pytest.mark.parametrize(
    ("accept", "there"),
    [
        ("image/jls, image/jphc;q=0.5", HTJ2K),
        ("image/jphc, image/jls;q=0.5", JLS),
        ("image/jpeg, image/jls;q=0.9, image/jphc;q=0.1", HTJ2K),
    ],
)
async def test_the_next_form_is_sent_if_the_origin_lacks_the_first(accept: str, there: Form) -> None:
    async with house(origin_of(there), profile="single") as home:
        assert (await get(home, accept)).content == there.body
        before = len(home.origin.frame_requests)
        again = await get(home, accept)
        assert (again.content, cache_did(again)) == (there.body, "hit")
        assert len(home.origin.frame_requests) == before, "what the origin lacks was asked for again"


async def test_the_origin_itself_refuses_what_it_has_in_no_form() -> None:
    async with house(origin_of(HTJ2K), profile="single") as home:
        for tries in (3, 4):  # two ways of asking and the viewer's own; then only this one
            got = await get(home, JLS.accept)
            assert (got.status_code, got.content) == (406, b"not in this form")
            assert len(home.origin.frame_requests) == tries
        assert (await get(home, HTJ2K.accept)).content == HTJ2K.body


async def test_after_three_instances_the_series_is_known_to_lack_a_form() -> None:
    async with house(origin_of(HTJ2K, images=6), profile="single") as home:
        for image in range(6):
            assert (await get(home, JLS.accept, frame_of(image))).status_code == 406
        asked = [home.origin.requests_of(frame_of(image)) for image in range(6)]
        assert asked == [3, 3, 3, 1, 1, 1]


async def test_a_series_may_have_a_form_for_some_instances_only() -> None:
    forms = [{HTJ2K.accept: HTJ2K}, {HTJ2K.accept: HTJ2K}, {JLS.accept: JLS}, {HTJ2K.accept: HTJ2K}]
    by_path = {frame_of(image): each for image, each in enumerate(forms)}
    origin = ScriptedOrigin(script=lambda asked: answer(asked, by_path.get(asked.path, {})))
    async with house(origin, profile="single") as home:
        for image in (0, 1, 2, 3, 2):
            got = await get(home, JLS.accept, frame_of(image))
            assert got.status_code == (200 if image == 2 else 406)
        assert cache_did(got) == "hit"


LIES = {
    "another codestream": Form("image/jls", JLS.label, JPEG.body),
    "HTJ2K": Form("image/jls", JLS.label, HTJ2K.body),
    "pixels": Form("image/jls", JLS.label, FORMS["pixels"].body),
    "another media type": Form("image/jls", JPEG.label, JPEG.body),
    "another transfer syntax": Form("image/jls", f"image/jls; transfer-syntax={UID}.4.50", JLS.body),
    "no frame": Form("image/jls", "text/html", b"<html>please log in</html>"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_what_is_in_another_form_is_handed_through_and_not_kept(lie: Form) -> None:
    origin = ScriptedOrigin(script=lambda asked: answer(asked, {lie.accept: lie, HTJ2K.accept: HTJ2K}))
    async with house(origin, profile="single") as home:
        for _ in range(2):
            got = await get(home, lie.accept)
            assert (got.status_code, got.content, got.headers["content-type"]) == (200, lie.body, lie.label)
            assert "cache-status" not in got.headers
        assert origin.frame_requests[-1].headers["accept"] == lie.accept
        assert home.metric("cache_bytes", part="first") == 0
        good = await get(home, HTJ2K.accept)
        assert (good.content, cache_did(good)) == (HTJ2K.body, "fwd=miss; stored")
        assert not home.app.origins["pacs"].health.is_resting


async def test_a_lie_about_an_instance_says_nothing_of_another() -> None:
    def script(asked: Asked) -> Reply | None:
        return answer(asked, {"image/jls": LIES["HTJ2K"] if asked.path == FRAME else JLS})

    async with house(ScriptedOrigin(script=script), profile="single") as home:
        assert (await get(home, "image/jls")).content == HTJ2K.body
        assert (await get(home, "image/jls", frame_of(1))).headers["content-type"] == JLS.told
        assert cache_did(await get(home, "image/jls", frame_of(1))) == "hit"


async def test_several_frames_come_in_one_form() -> None:
    async with house(origin_of(JLS, images=1), profile="single") as home:
        listed = await get(home, JLS.multipart, FRAME.replace("frames/1", "frames/1,2"))
        assert listed.content.count(JLS.body) == 2
        assert cache_did(await get(home, JLS.accept)) == "hit"
        before = len(home.origin.frame_requests)
        single = await get(home, JLS.accept, FRAME.replace("frames/1", "frames/1,2"))  # the origin's answer
        assert single.content == JLS.body
        assert len(home.origin.frame_requests) == before + 1


async def test_a_purge_drops_all_forms() -> None:
    forms = [HTJ2K, *FORMS.values()]
    async with house(origin_of(*forms), profile="single") as home:
        for form in forms:
            await get(home, form.accept)
        assert [cache_did(await get(home, form.accept)) for form in forms] == ["hit"] * len(forms)
        assert (await home.admin.delete(f"/cache{FRAME.partition('/series/')[0]}")).status_code == 204
        assert home.metric("cache_bytes", part="first") == 0
        for form in forms:
            assert cache_did(await get(home, form.accept)) == "fwd=miss; stored"


async def test_a_form_that_is_gone_leaves_htj2k_and_a_refusal_takes_all() -> None:
    said = {"image/jls": 200}

    def script(asked: Asked) -> Reply | None:
        status = said.get(asked.headers["accept"], said.get("all", 200))
        is_frame = "/frames/" in asked.path
        return Reply(status, {}) if is_frame and status != 200 else answer(asked, forms)

    forms = {form.accept: form for form in (HTJ2K, JLS, JPEG)}
    settings: dict[str, Any] = {"profile": "single", "access": "shared"}
    async with house(ScriptedOrigin(script=script), **settings) as home:
        assert cache_did(await get(home, HTJ2K.accept)) == "fwd=miss; stored"
        said["image/jls"] = 404
        assert (await get(home, JLS.accept)).status_code == 404
        assert cache_did(await get(home, HTJ2K.accept)) == "hit"
        said["image/jpeg"] = 403
        assert (await get(home, JPEG.accept)).status_code == 403
        assert cache_did(await get(home, HTJ2K.accept)) == "fwd=miss; stored"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_each_form_is_only_for_those_whom_the_origin_lets_read(form: Form) -> None:
    origin = GuardedOrigin("a", "c", bodies=[b""])
    origin.then = lambda asked: answer(asked, {form.accept: form})
    async with guarded(origin) as at:
        assert (await at.ask("a", FRAME, accept=form.accept)).content == form.body
        assert cache_did(await at.ask("a", FRAME, accept=form.accept)) == "hit"
        refused = await at.ask("b", FRAME, accept=form.accept)
        assert refused.status_code == 403
        assert form.body not in refused.content
        let_in = await at.ask("c", FRAME, accept=form.accept)
        assert (let_in.content, cache_did(let_in)) == (form.body, "hit")
        origin.readers.remove("a")
        at.now += 61
        assert (await at.ask("a", FRAME, accept=form.accept)).status_code == 403


async def test_a_refused_caller_learns_nothing_of_what_others_found_out() -> None:
    origin = GuardedOrigin("a", bodies=[b""])
    origin.then = lambda asked: answer(asked, {HTJ2K.accept: HTJ2K})
    async with guarded(origin) as at:
        assert (await at.ask("a", FRAME, accept=JLS.accept)).status_code == 406
        refused = await at.ask("b", FRAME, accept=JLS.accept)
        other = await at.ask("b", frame_of(1), accept=JLS.accept)
        assert (refused.status_code, refused.content) == (other.status_code, other.content)
        assert refused.status_code == 403


@pytest.mark.parametrize("is_encrypted", [False, True])
async def test_each_form_comes_back_from_the_disk(tmp_path: Path, is_encrypted: bool) -> None:
    forms, settings = [HTJ2K, *FORMS.values()], settings_at(tmp_path, is_encrypted=is_encrypted)
    settings["profile"] = "single"
    origin = origin_of(*forms)
    async with house(origin, **settings) as home:
        for form in forms:
            await get(home, form.accept)
        await home.until_written()
    origin.asked.clear()
    async with house(origin, **settings) as home:
        for form in forms:
            got = await get(home, form.accept)
            assert (got.content, got.headers["content-type"]) == (form.body, form.told)
            assert cache_did(got) == "hit; detail=disk"
        assert origin.frame_requests == []


async def test_a_plan_fetches_the_form_that_its_viewer_reads() -> None:
    images = 4
    async with house(origin_of(HTJ2K, JLS, images=images), **prefetching(stages="single")) as home:
        assert (await get(home, JLS.accept)).content == JLS.body
        await until_plan_ended(home)
        for image in range(images):
            assert cache_did(await get(home, JLS.accept, frame_of(image))) == "hit"
        assert accepts(home.origin) == [JLS.accept] * images
        assert cache_did(await get(home, HTJ2K.accept)) == "fwd=miss; stored"  # another viewer, another plan
        await until_plan_ended(home, count=2)
        assert accepts(home.origin)[images:] == [HTJ2K.accept] * images


async def test_a_viewer_of_another_form_sets_off_its_plan_by_a_frame_if_metadata_is_the_trigger() -> None:
    origin = origin_of(HTJ2K, JLS, images=3)
    async with house(origin, **prefetching("metadata", stages="single")) as home:
        assert (await home.viewer.get(f"{FRAME.partition('/instances')[0]}/metadata")).status_code == 200
        await until_plan_ended(home)
        assert (await get(home, JLS.accept)).content == JLS.body
        await until_plan_ended(home, count=2)
        assert sorted(accepts(origin)) == [JLS.accept] * 3 + [HTJ2K.accept] * 3


async def test_a_stage_may_name_the_form() -> None:
    profile = {
        "stages": [{"id": "all"}],
        "retrieveOptions": {"default": {"urlArguments": "accept=image/jls"}},
    }
    async with house(origin_of(HTJ2K, JLS, images=3), profiles={"others": profile}) as home:
        events = await home.events(await home.begin_plan("others"))
        assert events[-1] == ("end", {"state": "done", "bytes": 3 * SIZE})
        assert set(accepts(home.origin)) == {JLS.accept}
        assert cache_did(await get(home, JLS.accept, frame_of(2))) == "hit"
        assert cache_did(await get(home, "*/*", f"{frame_of(2)}?accept=image/jls")) == "hit"


async def test_a_plan_for_a_form_that_the_origin_lacks_is_not_set_off() -> None:
    async with house(origin_of(HTJ2K, images=4), **prefetching(stages="single")) as home:
        assert (await get(home, JLS.accept)).status_code == 406
        assert {asked.path for asked in home.origin.frame_requests} == {FRAME}
        assert home.origin.requests_of(f"{FRAME.partition('/instances')[0]}/metadata") == 0


async def test_a_plan_by_request_fetches_the_form_that_its_viewers_will_ask_for() -> None:
    wanted = f"{JLS.multipart}, image/jphc;q=0.5"
    async with house(origin_of(HTJ2K, JLS, images=3)) as home:
        plan = await home.begin_plan("single", accept=wanted)
        events = await home.events(plan)
        assert events[-1] == ("end", {"state": "done", "bytes": 3 * SIZE})
        assert set(accepts(home.origin)) == {JLS.accept}
        assert (await home.admin.get(plan)).json()["form"] == JLS.accept
        assert cache_did(await get(home, wanted, frame_of(2))) == "hit"


@pytest.mark.parametrize("depth", ["thumbnails", "first", "all"])
async def test_a_plan_for_a_study_fetches_the_form_that_its_viewers_will_ask_for(depth: str) -> None:
    origin = of_a_study(HTJ2K, JLS, images=3)
    body = {"study": STUDY, "profile": "single", "fetch": depth, "accept": JLS.accept}
    async with house(origin) as home:
        made = await home.admin.post("/v1/plans", json=body)
        assert (made.status_code, made.json()["form"]) == (202, JLS.accept)
        assert (await home.events(made.headers["location"]))[-1][1]["state"] == "done"
        assert set(accepts(origin)) == {JLS.accept}
        assert len(origin.frame_requests) == (1 if depth == "thumbnails" else 3)
        assert cache_did(await get(home, JLS.accept, frame_of(1))) == "hit"


async def test_a_stage_that_names_a_form_goes_before_that_of_the_request() -> None:
    profile = {
        "stages": [{"id": "all"}],
        "retrieveOptions": {"default": {"urlArguments": "accept=image/jls"}},
    }
    async with house(origin_of(HTJ2K, JLS, JPEG, images=3), profiles={"others": profile}) as home:
        await home.events(await home.begin_plan("others", accept=JPEG.accept))
        assert set(accepts(home.origin)) == {JLS.accept}


@pytest.mark.parametrize("accept", ["image/png", "image/jls;q=0", f"image/jls; transfer-syntax={UID}.4.50"])
async def test_a_plan_for_a_form_that_no_frame_has_is_refused_before_the_origin_is_asked(accept: str) -> None:
    async with house(origin_of(HTJ2K)) as home:
        for series in ({}, {"series": SERIES.split("/")[4]}):
            answer = await home.admin.post("/v1/plans", json={"study": STUDY, "accept": accept, **series})
            assert (answer.status_code, answer.json()["title"]) == (406, "NotAcceptable")
        assert not home.origin.asked_after_greeting


async def test_what_is_warmed_has_the_form_that_its_viewers_will_ask_for() -> None:
    origin = of_a_study(HTJ2K, JLS, images=3)
    warm = {"name": "worklist", "search": {"StudyDate": "today"}, "accept": JLS.accept, "profile": "single"}
    async with house(origin, warm=[warm]) as home:
        assert (await home.admin.post("/v1/warm", json={})).status_code == 202
        [progress] = home.app.warming.progress.values()
        await home.until(lambda: progress.ended is not None)
        assert set(accepts(origin)) == {JLS.accept}
        assert cache_did(await get(home, JLS.accept, frame_of(2))) == "hit"

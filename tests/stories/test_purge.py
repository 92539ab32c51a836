"""A purge drops all that is held of a study: frames, what was made from them, and what was learned."""

import asyncio

import pytest

from tests.codestreams import PARTS, htj2k
from tests.guarded_origin import BODIES, SERIES, Guarded, GuardedOrigin, guarded
from tests.scripted_origin import UID, codestream, frame_of, honest
from tests.stories.test_alternates import PIXELS, described

pytestmark = pytest.mark.anyio

FRAME, STUDY = frame_of(0), f"{UID}.1"
PICTURE = htj2k(PIXELS, **PARTS)
HIT, MISS = (200, "hit"), (200, "fwd=miss; stored")
SCOPES = {
    "study": f"/studies/{STUDY}",
    "series": SERIES,
    "instance": f"{SERIES}/instances/{UID}.2.1",
}


async def purge(at: Guarded, path: str = SCOPES["study"]) -> None:
    assert (await at.home.admin.delete(f"/cache{path}")).status_code == 204


FORMS = {
    "frame": (FRAME, "image/jphc"),
    "alternate": (FRAME.replace("/frames/", "/jls/"), "image/jls"),
    "rendered frame": (f"{FRAME}/rendered", "image/png"),
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("form", FORMS)
async def test_each_form_of_a_frame_is_fetched_or_made_again(form: str, scope: str) -> None:
    path, accept = FORMS[form]
    origin = GuardedOrigin("a", bodies=[PICTURE])
    described(origin)
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls"}}
    async with guarded(origin, origin={"rendered": "proxy"}, alternates=alternates) as at:
        assert (await at.ask("a", path, accept=accept)).status_code == 200
        before = origin.requests_of(FRAME)
        assert (await at.ask("a", path, accept=accept)).headers["cache-status"].endswith("; hit")
        assert origin.requests_of(FRAME) == before
        await purge(at, SCOPES[scope])
        assert not (await at.ask("a", path, accept=accept)).headers["cache-status"].endswith("; hit")
        assert origin.requests_of(FRAME) > before


async def test_metadata_is_read_again() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        for reads in (1, 1, 2):
            if reads == 2:
                await purge(at)
            made = await at.home.ask_plan("single", headers={"authorization": "Bearer a"})
            assert (made.status_code, origin.requests_of(f"{SERIES}/metadata")) == (202, reads)


async def test_sizes_that_were_learned_are_forgotten() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        assert await at.did("a", FRAME) == MISS
        learned = at.home.app.fills._learned
        assert learned._ends
        await purge(at)
        assert not learned._ends


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_yes_ends(scope: str) -> None:
    origin = GuardedOrigin("a", "b", bodies=[*BODIES, codestream(50_000)])
    async with guarded(origin) as at:
        assert [await at.did(who, frame_of(1)) for who in ("a", "b")] == [MISS, HIT]
        origin.readers.remove("b")
        assert await at.did("b", frame_of(1)) == HIT
        await purge(at, SCOPES[scope])
        assert (await at.did("b", frame_of(1)))[0] == 403
        assert (await at.did("a", frame_of(1)))[0] == 200


async def test_a_refusal_ends() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        assert (await at.did("b", FRAME))[0] == 403
        origin.readers.add("b")
        assert (await at.did("b", FRAME))[0] == 403
        await purge(at)
        assert await at.did("b", FRAME) == MISS


async def test_a_yes_that_is_on_its_way_counts_for_its_own_request_only() -> None:
    origin, barrier = GuardedOrigin("a", "b"), asyncio.Event()
    async with guarded(origin) as at:
        assert await at.did("a", FRAME) == MISS
        origin.then = lambda asked: honest(BODIES[0], asked, before=[barrier])
        asking = asyncio.create_task(at.did("b", FRAME))
        await at.home.until(lambda: len(origin.frame_requests) == 2)
        await asyncio.sleep(0)
        await purge(at)
        origin.then = lambda asked: None
        barrier.set()
        assert (await asking)[0] == 200
        origin.readers.remove("b")
        assert (await at.did("b", frame_of(1)))[0] == 403


async def test_the_only_reader_of_a_study_is_forgotten_with_all_of_it() -> None:
    """After a purge of a part, the rest is still compared before it is read; after one of all, nothing is."""
    origin, masked = GuardedOrigin("a", "b"), codestream(len(BODIES[0]), seed=99)
    origin.then = lambda asked: (
        honest(masked, asked) if asked.headers["authorization"] == "Bearer b" else None
    )
    async with guarded(origin) as at:
        assert await at.did("a", FRAME) == MISS
        await purge(at, f"{SERIES}/instances/{UID}.2.2")
        assert await at.did("b", frame_of(2)) == MISS  # its own fetch is its yes
        assert (await at.ask("b", FRAME)).content == masked
        assert at.probes("other") == 1
        await purge(at)
        assert await at.did("b", frame_of(3)) == MISS
        assert await at.did("b", frame_of(3)) == HIT
        assert at.probes("other") == 1

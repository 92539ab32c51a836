"""Only a caller whom the origin let read a study gets what is held of it beside its frames."""

import asyncio

import pytest

from tests.guarded_origin import Guarded, GuardedOrigin, guarded
from tests.house import cache_did
from tests.scripted_origin import SERIES, UID, Asked, Reply, etag_of

pytestmark = pytest.mark.anyio

STUDY = f"/studies/{UID}.1"
METADATA = f"{SERIES}/metadata"
BODY = b'[{"00080018": {"vr": "UI", "Value": ["1"]}}]'
JSON = {"content-type": "application/dicom+json"}


class Study(GuardedOrigin):
    """Lets some callers read, and shows each of them the body in `shown`, or else the same."""

    def __init__(self, *readers: str, has_validators: bool = True) -> None:
        super().__init__(*readers)
        self.shown: dict[str, bytes] = {}
        self.has_validators = has_validators
        self.then = self._answer

    def _answer(self, asked: Asked) -> Reply | None:
        if "/frames/" in asked.path:
            return None
        body = self.shown.get(asked.headers.get("authorization", "").removeprefix("Bearer "), BODY)
        tag = {"etag": etag_of(body)} if self.has_validators else {}
        if tag and asked.headers.get("if-none-match") == tag["etag"]:
            return Reply(304, tag)
        return Reply(200, JSON | tag, (body,))

    def asked_by(self, path: str) -> list[tuple[str, bool]]:
        """Who asked for a path, and whether with a condition."""
        return [
            (asked.headers.get("authorization", "").removeprefix("Bearer "), "if-none-match" in asked.headers)
            for asked in self.asked
            if asked.path == path
        ]


async def ask(at: Guarded, who: str, path: str) -> tuple[int, bytes, str]:
    answer = await at.ask(who, path, accept="application/dicom+json")
    await at.home.until(lambda: not len(at.home.app.resources))
    return answer.status_code, answer.content, cache_did(answer)


@pytest.mark.parametrize("has_validators", [True, False])
async def test_a_second_caller_asks_for_itself_once_and_then_reads_what_is_held(has_validators: bool) -> None:
    origin = Study("a", "b", has_validators=has_validators)
    async with guarded(origin) as at:
        assert await ask(at, "a", METADATA) == (200, BODY, "fwd=miss; stored")
        assert await ask(at, "a", METADATA) == (200, BODY, "hit; ttl=30")
        assert await ask(at, "b", METADATA) == (200, BODY, "fwd=miss; stored")
        assert await ask(at, "b", METADATA) == (200, BODY, "hit; ttl=30")
        assert origin.asked_by(METADATA) == [("a", False), ("b", False)]
        at.now += 61  # each yes has ended, and the origin has shown these very bytes to both
        for who in ("b", "a"):
            assert (await ask(at, who, METADATA))[:2] == (200, BODY)
        assert origin.asked_by(METADATA)[2:] == [("b", has_validators), ("a", has_validators)]


async def test_a_caller_without_a_yes_gets_nothing_and_learns_nothing() -> None:
    origin = Study("a")
    path = f"{STUDY}/series"
    async with guarded(origin) as at:
        await ask(at, "a", METADATA)
        held = await at.ask("x", METADATA)
        other = await at.ask("x", path)
        assert (held.status_code, held.content) == (other.status_code, other.content) == (403, b"no")
        drop = ("date", "server-timing")
        seen = [{n: v for n, v in each.headers.items() if n not in drop} for each in (held, other)]
        assert seen[0] == seen[1]
        ranged = await at.ask("x", METADATA, range="bytes=0-4")
        assert (ranged.status_code, ranged.content) == (403, b"no")
        head = await at.home.viewer.head(METADATA, headers={"authorization": "Bearer x"})
        assert head.status_code == 403


async def test_a_caller_without_a_yes_does_not_join_what_arrives_for_another() -> None:
    barrier = asyncio.Event()
    origin = Study("a")
    first = origin.then
    origin.then = lambda asked: (
        Reply(200, JSON | {"content-length": str(len(BODY))}, (BODY[:3], barrier, BODY[3:]))
        if asked.path == METADATA
        else first(asked)
    )
    async with guarded(origin) as at:
        proof = {"authorization": "Bearer a", "accept": "application/dicom+json"}
        async with at.home.viewer.stream("GET", METADATA, headers=proof) as answer:
            assert await anext(answer.aiter_raw()) == BODY[:3]
            refused = await at.home.viewer.get(METADATA, headers=proof | {"authorization": "Bearer x"})
            assert refused.status_code == 403
            barrier.set()


async def test_a_caller_who_sees_another_version_reads_a_copy_of_its_own() -> None:
    origin = Study("a", "b")
    origin.shown["b"] = b'[{"hidden": "names"}]'
    async with guarded(origin) as at:
        await ask(at, "a", METADATA)
        for _ in range(2):
            assert (await ask(at, "b", METADATA))[1] == origin.shown["b"]
            assert (await ask(at, "a", METADATA))[1] == BODY
        assert origin.asked_by(METADATA) == [("a", False), ("b", False)]


async def test_a_304_is_no_proof_for_a_caller_who_never_got_the_bytes() -> None:
    origin = Study("a", "b")
    shown = {"a": b'[{"name": "Miller"}]', "b": b"[{}]"}
    origin.then = lambda asked: (
        Reply(304, {"etag": '"version-7"'})
        if "if-none-match" in asked.headers
        else Reply(200, JSON | {"etag": '"version-7"'}, (shown[asked.headers["authorization"][-1]],))
    )
    async with guarded(origin) as at:
        for _ in range(3):
            for who, body in shown.items():
                assert (await ask(at, who, METADATA))[1] == body
            at.now += 61


async def test_a_yes_to_one_kind_says_nothing_about_another_nor_about_frames() -> None:
    origin = Study("a", "b")
    async with guarded(origin) as at:
        for who in ("a", "b"):
            await ask(at, who, f"{STUDY}/series")
        await ask(at, "a", METADATA)
        origin.refused.add(("b", METADATA))
        assert (await ask(at, "b", METADATA))[0] == 403
        assert (await ask(at, "b", f"{STUDY}/series"))[0] == 200


async def test_a_right_that_is_withdrawn_ends_with_the_yes() -> None:
    origin = Study("a", "b")
    async with guarded(origin, access={"ttl": 60}, cache={"study_ttl": 600}) as at:
        for who in ("a", "b"):
            await ask(at, who, METADATA)
        origin.readers.discard("b")
        at.now += 59
        assert (await ask(at, "b", METADATA))[2].startswith("hit")
        at.now += 2
        assert (await ask(at, "b", METADATA))[0] == 403
        assert (await ask(at, "b", METADATA))[0] == 403


async def test_a_page_to_log_in_that_comes_with_200_ends_the_yes_of_its_caller_only() -> None:
    origin = Study("a", "b")
    page = Reply(200, {"content-type": "text/html"}, (b"<html>please log in</html>",))
    async with guarded(origin) as at:
        for who in ("a", "b"):
            await ask(at, who, METADATA)
        answering = origin.then
        origin.then = lambda asked: page if asked.headers["authorization"] == "Bearer b" else answering(asked)
        at.now += 31
        assert (await ask(at, "b", METADATA))[1] == BODY  # the origin is asked behind
        assert (await ask(at, "b", METADATA))[1] == page.pieces[0]
        assert (await ask(at, "a", METADATA))[1] == BODY


async def test_a_purge_drops_it_and_the_rights() -> None:
    origin = Study("a", "b")
    async with guarded(origin) as at:
        for who in ("a", "b"):
            await ask(at, who, METADATA)
        assert (await at.home.admin.delete(f"/cache{STUDY}")).status_code in (200, 204)
        assert (await ask(at, "b", METADATA))[2] == "fwd=miss; stored"
        assert (await ask(at, "a", METADATA))[2] == "fwd=miss; stored"


async def test_with_credential_each_caller_has_its_own_and_a_refusal_drops_it() -> None:
    origin = Study("a", "b")
    async with guarded(origin, access="credential") as at:
        for who in ("a", "b"):
            assert (await ask(at, who, METADATA))[2] == "fwd=miss; stored"
        origin.readers.discard("b")
        at.now += 31
        assert (await ask(at, "b", METADATA))[0] == 200  # it is asked behind
        assert (await ask(at, "b", METADATA))[0] == 403
        assert (await ask(at, "a", METADATA))[0] == 200


async def test_shared_means_one_copy_for_all() -> None:
    origin = Study("a", "b")
    async with guarded(origin, access="shared") as at:
        for who in ("a", "b", "x"):
            assert (await ask(at, who, METADATA))[0] == 200
        assert len(origin.asked_by(METADATA)) == 1

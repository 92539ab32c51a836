"""Profile arguments that the origin does not know: the result of the plan, and the viewer's response."""

from typing import Any

import pytest

from tests.house import cache_did, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of

pytestmark = pytest.mark.anyio

BODIES = [codestream(9_000, seed) for seed in range(3)]


def with_arguments(arguments: str) -> dict[str, Any]:
    """A profile of one stage whose requests carry these arguments."""
    pasted = {"stages": [{"id": "all"}], "retrieveOptions": {"default": {"urlArguments": arguments}}}
    return {"profiles": {"pasted": pasted}, "profile": "pasted"}


def unknowing() -> ScriptedOrigin:
    """An origin that answers 406 to every argument except the one it knows."""
    origin = ScriptedOrigin().with_series(BODIES)

    def script(asked: Asked) -> Reply | None:
        path, _, query = asked.path.partition("?")
        return Reply(406, {}) if path in origin.frames and query not in ("", "accept=image/jphc") else None

    origin.script = script
    return origin


@pytest.mark.parametrize("name", ["jhc", "jph", "j2c", "JHC"])
async def test_a_misspelled_argument_gets_what_it_means_from_what_the_plan_fetched(name: str) -> None:
    async with house(unknowing(), **with_arguments(f"accept=image/{name}")) as home:
        *_, (stage, count), (_, end) = await home.events(await home.begin_plan("pasted"))
        assert (stage, count["numberOfFailures"], end["state"]) == ("stage", 0, "done")
        for image, body in enumerate(BODIES):
            answer = await home.viewer.get(f"{frame_of(image)}?accept=image%2F{name}")
            assert (answer.status_code, answer.content, cache_did(answer)) == (200, body, "hit")
            assert answer.headers["content-type"].startswith("image/jphc")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("accept=image/png", "NotAcceptable"),
        ("accept=image/j2c;transfer-syntax=1.2.840.10008.1.2.4.90", "NotAcceptable"),
        ("format=jhc", "OriginRefused"),
        ("accept=image/jphc&format=jhc", "OriginRefused"),
    ],
)
async def test_a_plan_whose_arguments_give_the_viewer_nothing_says_so(arguments: str, error: str) -> None:
    async with house(unknowing(), **with_arguments(arguments)) as home:
        plan = await home.begin_plan("pasted")
        *_, (stage, count), (_, end) = await home.events(plan)
        assert (stage, count["numberOfFailures"], end["state"]) == ("stage", len(BODIES), "failed")
        assert (await home.admin.get(plan)).json()["error"] == error
        answer = await home.viewer.get(f"{frame_of(0)}?{arguments}")
        assert answer.status_code == 406

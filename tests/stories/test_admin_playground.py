"""The playground on the admin listener: it reads a configuration, and refuses what is too much."""

import pytest

from proxy.page.playground import MOST_BODY
from tests.house import house
from tests.scripted_origin import ScriptedOrigin

pytestmark = pytest.mark.anyio


async def test_a_configuration_is_answered_with_its_plan_and_nothing_is_fetched() -> None:
    origin = ScriptedOrigin()
    async with house(origin) as home:
        before = len(origin.asked)
        answer = await home.admin.post("/v1/playground?images=2", content=b"extends: sequential")
        assert len(origin.asked) == before
    assert answer.status_code == 200
    told = answer.json()
    assert told["fetches"] == [[0, 0, 0, 65536], [0, 1, 0, 65536], [1, 0, 65536, None], [1, 1, 65536, None]]
    assert (told["faults"], told["warnings"]) == ([], [])


async def test_javascript_is_read_and_never_run() -> None:
    async with house(ScriptedOrigin()) as home:
        text = (
            b"{\n  ...sequentialRetrieveStages,\n  retrieveOptions: { singleFast: { rangeIndex: run() } },\n}"
        )
        told = (await home.admin.post("/v1/playground?images=1", content=text)).json()
    [fault] = told["faults"]
    assert (fault["line"], "run()" in fault["words"]) == (3, True)


@pytest.mark.parametrize(
    ("query", "content", "status"),
    [("images=0", b"", 400), ("", b"", 400), ("images=1", b" " * (MOST_BODY + 1), 413)],
)
async def test_what_is_no_question_is_refused(query: str, content: bytes, status: int) -> None:
    async with house(ScriptedOrigin()) as home:
        answer = await home.admin.post(f"/v1/playground?{query}", content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"

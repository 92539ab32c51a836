"""The house that stories live in leaves nothing behind, also where a story fails."""

import asyncio
import gc
import warnings

import httpx
import pytest

from tests.house import house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

BODY = codestream(100_000)


class StoryFailed(Exception):
    pass


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("when", ["at once", "after an answer", "inside an answer"])
async def test_a_story_that_fails_closes_its_sockets(when: str, wait: bool) -> None:
    never, asking = asyncio.Event(), list[asyncio.Future[httpx.Response]]()

    def script(asked: Asked) -> Reply | None:
        is_held = when == "inside an answer" and asked.path == FRAME
        return honest(BODY, asked, before=(never,)) if is_held else None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what an earlier test left behind is no fault of this one
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        with pytest.RaisesGroup(StoryFailed):
            async with house(ScriptedOrigin({FRAME: BODY}, script), wait=wait) as home:
                if when != "at once":
                    asking.append(asyncio.ensure_future(home.viewer.get(FRAME)))
                    await (home.until_inside(1) if when == "inside an answer" else asking[0])
                raise StoryFailed
        await asyncio.gather(*asking, return_exceptions=True)  # it hears that the viewer's client is closed
        gc.collect()
    assert [str(warning.message) for warning in left if warning.category is ResourceWarning] == []

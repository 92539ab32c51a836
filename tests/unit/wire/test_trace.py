"""A viewer's trace is passed to the origin with each fetch, and appears in the log line."""

from itertools import product

import pytest

from tests.house import house
from tests.scripted_origin import FRAME, ScriptedOrigin, codestream

pytestmark = pytest.mark.anyio

BODY = codestream(100_000)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-00"
TRACE = {"traceparent": PARENT, "tracestate": "vendor=1"}
SINGLE = {"accept": "image/jphc"}


async def test_both_fetches_of_a_frame_and_what_is_handed_through_carry_it() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        home.origin.asked.clear()
        assert (await home.viewer.get(FRAME, headers=SINGLE | TRACE)).content == BODY
        await home.viewer.get("/studies?limit=2", headers=TRACE)
        assert len(home.origin.asked) == 3
        for asked, (name, value) in product(home.origin.asked, TRACE.items()):
            assert asked.headers[name] == value


async def test_each_line_has_its_own_viewer_s_trace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "proxy.viewers.frames")
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        for headers in ({"traceparent": PARENT}, {"traceparent": OTHER}, {}):
            await home.viewer.get(FRAME, headers=SINGLE | headers)
            await home.until_inside(0)
        traces = [getattr(record, "traceparent", None) for record in caplog.records]
        assert traces == [PARENT, OTHER, None]


@pytest.mark.parametrize(
    "wrong",
    [
        "Patient^Name",
        PARENT.upper(),
        PARENT + "\N{NO-BREAK SPACE}",
        PARENT[:-1],
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        PARENT + "-more",
    ],
)
async def test_what_is_no_trace_goes_nowhere(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "proxy.viewers.frames")
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        headers = [(b"accept", b"image/jphc"), (b"tracestate", b"vendor=1"), (b"traceparent", wrong.encode())]
        answer = await home.viewer.get(FRAME, headers=headers)
        assert answer.content == BODY
        await home.until_inside(0)
        assert not any("traceparent" in asked.headers for asked in home.origin.frame_requests)
        assert not any("tracestate" in asked.headers for asked in home.origin.frame_requests)
        assert not hasattr(caplog.records[-1], "traceparent")

"""Log lines of a whole service: forwarded requests, and an origin that goes down and comes back."""

import logging
from typing import Any

import pytest

from proxy.origin.health import FAILURES
from tests.house import house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin

pytestmark = pytest.mark.anyio

STUDY = SERIES.split("/")[2]
JSON = {"content-type": "application/dicom+json"}


def said(caplog: pytest.LogCaptureFixture, *messages: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.message in messages]


@pytest.mark.parametrize("with_uids", [False, True])
async def test_each_forwarded_request_has_a_line(with_uids: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    origin = ScriptedOrigin(script=lambda asked: Reply(200, JSON, (b"[]",)))
    async with house(origin, log={"uids": with_uids}) as home:
        await home.viewer.get(f"/studies?PatientName=Secret&StudyInstanceUID={STUDY}")
        await home.viewer.get(f"{SERIES}/metadata")
        await home.viewer.post("/studies", content=b"x")
    lines = said(caplog, "forwarded")
    assert [(line["method"], line["kind"], line["status"], line["bytes"]) for line in lines] == [
        ("GET", "search", 200, 2),
        ("GET", "metadata", 200, 2),
        ("POST", "store", 200, 2),
    ]
    assert all(line["ms"] >= 0 and line["origin"] == home.app.settings.origins[0].name for line in lines)
    told = " ".join(str(line) for line in lines)
    assert (STUDY in told) is with_uids
    assert "Secret" not in told


async def test_an_origin_that_is_down_is_said_once_and_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    is_down = False

    def script(asked: Asked) -> Reply:
        return Reply(504 if is_down else 200, JSON, (b"[]",))

    origin = ScriptedOrigin(script=script)
    async with house(origin) as home:
        is_down = True
        for _ in range(3 * FAILURES):
            await home.viewer.get("/studies")
        assert len(said(caplog, "origin is down", "origin is still down")) == 1
        is_down = False
        await home.viewer.get("/studies")
        await home.viewer.get("/studies")
    lines = said(caplog, "origin is down", "origin is still down", "origin is back")
    assert [line["message"] for line in lines] == ["origin is down", "origin is back"]
    assert {line["origin"] for line in lines} == {home.app.settings.origins[0].name}

"""The files of the pages: their names, their types, and a policy that keeps requests at home."""

import re
from pathlib import Path

import httpx
import pytest

from proxy.page.assets import Assets, policy

pytestmark = pytest.mark.anyio

WEB = sorted((Path(__file__).parents[3] / "proxy" / "page" / "web").iterdir())
APP = Assets("style.css", ["http://127.0.0.1:8080"])


def viewer() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://127.0.0.1")


@pytest.mark.parametrize("file", WEB, ids=lambda file: file.name)
async def test_every_file_is_served_with_the_policy(file: Path) -> None:
    async with viewer() as client:
        answer = await client.get(f"/{file.name}")
        again = await client.get(f"/{file.name}", headers={"if-none-match": answer.headers["etag"]})
    assert (answer.status_code, again.status_code) == (200, 304)
    assert "connect-src 'self' http://127.0.0.1:8080;" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_nothing_else_is_served() -> None:
    async with viewer() as client:
        assert (await client.get("/assets.py")).status_code == 404
        assert (await client.get("/..%2fassets.py")).status_code == 404
        assert (await client.post("/style.css")).status_code == 405
        index = await client.get("/")
    assert index.headers["content-type"].startswith("text/css")


def test_the_policy_permits_no_inline_script_and_no_other_host() -> None:
    assert "unsafe" not in policy()
    assert "*" not in policy()


@pytest.mark.parametrize("file", WEB, ids=lambda file: file.name)
def test_no_file_names_another_host_or_has_inline_code(file: Path) -> None:
    text = file.read_text("utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/)(?!127\.0\.0\.1)", text) == []
    if file.suffix == ".html":
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text) == []

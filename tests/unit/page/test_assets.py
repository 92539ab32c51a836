"""The files of the pages: their names, their types, and a policy that keeps requests at home."""

import re
from pathlib import Path

import httpx
import pytest

from proxy.page.assets import Assets, policy

pytestmark = pytest.mark.anyio

WEB = sorted((Path(__file__).parents[3] / "proxy" / "page" / "web").iterdir())
APP = Assets("style.css", ["http://127.0.0.1:8080"])


TABS = {"compare.html": "Compare & more", "playground.html": "Playground"}
SEVERAL = Assets("compare.html", tabs=TABS, policies={"playground.html": policy(has_wasm=True)})


def viewer(app: Assets = APP) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


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


async def test_pages_side_by_side_lead_to_each_other() -> None:
    async with viewer(SEVERAL) as client:
        first, second = (await client.get("/compare.html")).text, (await client.get("/playground.html")).text
        alone = await viewer().get("/playground.html")
    one, other = (f' data-page="{name}"' for name in ("compare.html", "playground.html"))
    here = ' aria-current="page"'
    assert f'<a href="./"{one}{here}>Compare &amp; more</a><a href="playground.html"{other}>' in first
    assert f'<a href="./"{one}>Compare &amp; more</a><a href="playground.html"{other}{here}>' in second
    assert "<nav" not in alone.text
    assert "tabs -->" not in alone.text


async def test_a_page_may_have_a_policy_of_its_own() -> None:
    async with viewer(SEVERAL) as client:
        found = [await client.get(f"/{name}") for name in TABS]
    has_wasm = ["'wasm-unsafe-eval'" in each.headers["content-security-policy"] for each in found]
    assert has_wasm == [False, True]


def test_the_policy_permits_no_inline_script_and_no_other_host() -> None:
    assert "unsafe" not in policy()
    assert "*" not in policy()


@pytest.mark.parametrize("file", WEB, ids=lambda file: file.name)
def test_no_file_names_another_host_or_has_inline_code(file: Path) -> None:
    text = file.read_text("utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/)(?!127\.0\.0\.1)", text) == []
    if file.suffix == ".html":
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text) == []

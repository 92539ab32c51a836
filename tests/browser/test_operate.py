"""The page for operators in a browser: what it shows, what it does, and how it shows what is wrong."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import axe
from tests.browser.operating import PATIENT, SINGLE, TOKEN, Operator, busy, operator_at
from tests.house import cache_did, house
from tests.scripted_origin import SERIES, UID, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.stories.test_audit import lines
from tests.studies import bodies, frames_of, with_study

pytestmark = pytest.mark.anyio

FRAME = frame_of(0)
STUDY = f"{UID}.1"
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}


def archive() -> ScriptedOrigin:
    return ScriptedOrigin().with_series([codestream(100_000, seed) for seed in range(4)])


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


@asynccontextmanager
async def signed_in(browser: Any, token: Path, **settings: Any) -> AsyncIterator[Operator]:
    """An operator of a service, who has given the token."""
    origin = settings.pop("archive", None) or archive()
    async with (
        house(origin, admin={"token_file": token}, **settings) as home,
        operator_at(browser, home) as operator,
    ):
        await operator.open()
        await operator.sign_in()
        await operator.look()
        yield operator
        assert operator.elsewhere == []


async def test_nothing_is_shown_without_the_token_and_the_token_is_in_no_url(
    browser: Any, token: Path
) -> None:
    async with house(archive(), admin={"token_file": token}) as home, operator_at(browser, home) as operator:
        await operator.open()
        await operator.sign_in("another-token-of-16")
        assert await operator.text("#loginfault") == "This token does not count (401)."
        assert not await operator.page.is_visible("#now")
        await operator.sign_in()
        await operator.look()
        assert await operator.page.is_visible("#now")
        assert await operator.text("#live") == "live"
        await operator.page.reload()
        await operator.look()  # the tab still has the token
        await operator.page.click("text=Sign out")
        await operator.page.wait_for_selector("#login:not([hidden])")
        assert not await operator.page.is_visible("#now")
        assert await operator.page.evaluate("() => sessionStorage.length + localStorage.length") == 0
        assert not any(TOKEN in url for _, url in operator.asked)
        assert operator.elsewhere == []
        # The browser itself writes a line for each answer with 401.
        assert [fault for fault in operator.faults if "401" not in fault] == []


async def test_a_service_without_a_token_says_that_it_is_off(browser: Any) -> None:
    async with house(archive(), admin={}) as home, operator_at(browser, home) as operator:
        await operator.open()
        await operator.wait("() => document.body.dataset.state === 'failed'")
        assert "set admin.token_file" in await operator.text("#problem")


async def test_the_root_leads_to_the_page_which_allows_nothing_inline(browser: Any, token: Path) -> None:
    async with house(archive(), admin={"token_file": token}) as home:
        for path in ("/", "/page"):
            answer = await home.admin.get(path)
            assert (answer.status_code, answer.headers["location"]) == (307, "page/")
        answer = await home.admin.get("/page/")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert (await home.admin.get("/page/none.js")).status_code == 404


async def test_its_numbers_are_those_of_the_status(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        home = operator.home
        for image in (0, 1, 0, 0):
            await home.viewer.get(frame_of(image), headers=SINGLE)
        await operator.look()
        texts = await operator.page.eval_on_selector_all(".tile", "all => all.map(e => e.innerText)")
        tiles = dict(re.split(r"\n+", text)[:2] for text in texts)
        assert tiles["Hits, last hour"] == "50.0 %"
        assert tiles["Origins"] == "1 of 1"
        assert "In the last hour: 4; half within" in await operator.text(".heat[data-which=first] .said")
        assert "image/jphc" in await operator.text("#origins")
        assert operator.faults == []


async def test_what_is_held_is_told_by_kind_and_tier(browser: Any, token: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    kept: dict[str, Any] = {
        "cache": {"disk": {"path": str(tmp_path / "disk")}},
        "access": {"key_file": str(key)},
    }
    async with signed_in(browser, token, **kept) as operator:
        home = operator.home
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.viewer.get(f"{SERIES}/metadata", headers={"accept": "application/dicom+json"})
        await home.until_written()
        await operator.look()
        rows = await operator.page.eval_on_selector_all(
            "#held tr", "all => all.map((row) => [...row.cells].map((cell) => cell.innerText))"
        )
        told = {kind: sizes for kind, *sizes in rows}
        assert told["Kind"] == ["Memory", "Disk"]
        assert told["First bytes of frames"][0] == "64 KiB"
        # On disk, a small frame is one with its first bytes.
        assert "0 B" not in (*told["First bytes of frames"], told["Rests of frames"][0], told["Metadata"][0])
        assert told["Metadata"][1] == "–"  # the disk has frames only
        assert told["The origin's alternates"] == ["0 B", "0 B"]
        assert operator.faults == []


async def test_a_trouble_of_an_origin_says_how_often_and_when(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        troubles = operator.home.app.origins["pacs"].health.troubles
        for kind in ("stalled", "stalled", "cut"):
            troubles.note(kind)
        await operator.look()
        lines = await operator.page.eval_on_selector_all(
            ".wrong li", "all => all.map((line) => line.innerText)"
        )
        [cut, stalled] = sorted(lines)
        assert re.fullmatch(
            r"It ended a response before the last byte\. Once in the last hour, at \d\d:\d\d:\d\d\.", cut
        )
        assert re.match(r"It fell silent .*\. 2 times in the last hour, last at \d\d:\d\d:\d\d\.", stalled)


async def test_the_playground_is_beside_it_behind_the_same_lock(browser: Any, token: Path) -> None:
    async with house(archive(), admin={"token_file": token}) as home, operator_at(browser, home) as operator:
        await operator.page.goto(f"{operator.url}/page/playground.html")
        await operator.wait("() => document.body.dataset.state === 'failed'")
        assert "Sign in first (401)" in await operator.text("#problem")
        await operator.page.click("#problem a")
        await operator.sign_in()
        await operator.page.click(".tabs a >> text=Playground")
        await operator.wait("() => document.body.dataset.state === 'shown'")
        assert await operator.text("#problem") == ""
        assert (
            await operator.page.evaluate("() => document.getElementById('stages').tBodies[0].rows.length") > 1
        )
        await operator.page.click(".tabs a >> text=Operate")
        await operator.look()
        assert (operator.faults, operator.elsewhere) == ([], [])


async def test_the_playground_of_a_service_without_a_token_says_that_it_is_off(browser: Any) -> None:
    async with house(archive(), admin={}) as home, operator_at(browser, home) as operator:
        await operator.page.goto(f"{operator.url}/page/playground.html")
        await operator.wait("() => document.body.dataset.state === 'failed'")
        assert "set admin.token_file" in await operator.text("#problem")
        assert operator.faults == []


async def test_a_minute_can_be_read_by_keyboard(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        await operator.home.viewer.get(FRAME, headers=SINGLE)
        await operator.look()
        await operator.page.focus(".heat[data-which=first] canvas")
        await operator.page.keyboard.press("ArrowLeft")
        said = ".heat[data-which=first] .said"
        assert re.match(r"At \d\d:\d\d: (1; half within|none)", await operator.text(said))
        await operator.page.keyboard.press("Escape")
        assert (await operator.text(said)).startswith("In the last hour: 1;")


async def test_a_purge_is_asked_once_and_really_purges(browser: Any, token: Path, tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with signed_in(browser, token, audit={"file": str(file)}) as operator:
        home = operator.home
        await home.viewer.get(FRAME, headers=SINGLE)
        for answer, did in (("no", "hit"), ("yes", "fwd=miss; stored")):
            await operator.page.fill("#purgestudy", STUDY)
            await operator.page.click("#purge button")
            assert await operator.text("#surewhat") == STUDY
            await operator.say(answer)
            if answer == "yes":
                await operator.wait("() => said.textContent.includes('is purged')")
            assert cache_did(await home.viewer.get(FRAME, headers=SINGLE)) == did
    assert [line["study"] for line in lines(file) if line["event"] == "purge"] == [STUDY]


async def test_an_order_whose_token_counts_no_longer_is_refused(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        home = operator.home
        await home.viewer.get(FRAME, headers=SINGLE)
        await operator.page.fill("#purgestudy", STUDY)
        await operator.page.click("#purge button")
        await operator.page.evaluate("() => sessionStorage.clear()")
        await operator.say("yes")
        await operator.page.wait_for_selector("#login:not([hidden])")
        assert cache_did(await home.viewer.get(FRAME, headers=SINGLE)) == "hit"


async def test_a_plan_is_begun_and_ended(browser: Any, token: Path) -> None:
    barrier, origin = asyncio.Event(), archive()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, before=(barrier,)) if body else None

    origin.script = script
    async with signed_in(browser, token, archive=origin, origin={"timeouts": PATIENT}) as operator:
        page, home = operator.page, operator.home
        await page.fill("#warmstudy", STUDY)
        await page.fill("#warmseries", f"{UID}.2")
        await page.fill("#warmprofile", "single")
        await page.click("#warm button")
        await operator.say("yes")
        await page.wait_for_selector("#plans button.danger:visible")
        assert "running" in await operator.text("#plans")
        assert STUDY not in await operator.text("#plans")
        assert not any(TOKEN in json.dumps(asked.headers) for asked in origin.asked)
        await page.click("#plans button.danger")
        await operator.say("yes")
        await operator.wait("() => document.querySelector('#plans .badge').textContent === 'cancelled'")
        assert [run.state for run in home.app.plans] == ["cancelled"]
        assert not await page.is_visible("#plans button.danger")
        barrier.set()


async def test_a_plan_for_a_whole_study_is_begun(browser: Any, token: Path) -> None:
    origin = with_study(ScriptedOrigin(), {number: bodies(2, 100_000, number) for number in (1, 2)}, STUDY)
    async with signed_in(browser, token, archive=origin) as operator:
        page, home = operator.page, operator.home
        await page.fill("#warmstudy", STUDY)
        await page.select_option("#warmdepth", "first")
        await page.click("#warm button")
        assert await operator.text("#suretitle") == "Fetch this study ahead?"
        await operator.say("yes")
        await operator.wait("() => document.querySelector('#plans .badge')?.textContent === 'done'")
        assert {asked.path for asked in origin.frame_requests} == set(frames_of((1, 2), 2, STUDY))
        assert {asked.range for asked in origin.frame_requests} == {"bytes=0-65535"}
        assert [run.state for run in home.app.plans] == ["done"]
        assert "4 of 4" in await operator.text("#plans .stages")
        await page.fill("#warmseries", "1.2")
        assert await page.is_disabled("#warmdepth")
        await page.fill("#warmseries", "")
        assert await page.is_enabled("#warmdepth")


async def test_what_the_proxy_refuses_is_told(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        await operator.page.fill("#warmstudy", STUDY)
        await operator.page.fill("#warmseries", f"{UID}.2")
        await operator.page.fill("#warmprofile", "no-such-profile")
        await operator.page.click("#warm button")
        await operator.say("yes")
        await operator.wait("() => said.textContent.startsWith('It was refused (404)')")


async def test_the_forms_of_an_origin_are_cleared(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        await operator.home.viewer.get(FRAME, headers=SINGLE)
        await operator.look()
        assert "image/jphc" in await operator.text("#origins")
        await operator.page.click("text=Clear learned forms")
        await operator.say("yes")
        await operator.wait("() => origins.textContent.includes('Form of requestnot known yet')")


async def test_a_stream_that_is_cut_is_told_and_goes_on(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        operator.line.cut()
        await operator.wait("() => document.body.dataset.live === 'cut'")
        assert await operator.text("#live") == "cut off"
        assert "The stream was cut" in await operator.text("#problem")
        assert await operator.page.is_visible("#tiles")
        operator.line.mend()
        await operator.page.evaluate("() => again.click()")  # it may be back by itself, and the button gone
        await operator.wait("() => document.body.dataset.live === 'live'")
        await operator.look()
        assert await operator.text("#problem") == ""


async def test_a_cut_stream_goes_on_by_itself(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        operator.line.cut()
        await operator.wait("() => document.body.dataset.live === 'cut'")
        operator.line.mend()
        await operator.wait("() => document.body.dataset.live === 'live'")
        await operator.look()


async def test_a_stream_that_ends_in_order_is_begun_again_without_a_word(browser: Any, token: Path) -> None:
    async with signed_in(browser, token) as operator:
        operator.home.app.live.longest = 0.2
        streams = [url for _, url in operator.asked if url.endswith("/status/events")]
        await operator.page.reload()
        while len([url for _, url in operator.asked if url.endswith("/status/events")]) < len(streams) + 3:
            await operator.look()
        assert await operator.text("#live") == "live"
        assert await operator.text("#problem") == ""


async def test_uids_are_on_the_page_only_if_the_log_has_them(browser: Any) -> None:
    for uids in (True, False):
        async with busy(log={"uids": uids}) as home, operator_at(browser, home) as operator:
            await operator.open()
            await operator.look()
            assert (UID in await operator.text("body")) is uids


async def test_an_origin_that_is_down_has_a_face(browser: Any) -> None:
    async with busy() as home, operator_at(browser, home) as operator:
        await operator.open()
        await operator.look()
        card = await operator.text("article[aria-label=research]")
        assert "has not responded since the proxy started" in card
        assert "1 of 2" in await operator.text("#tiles")


async def test_the_configuration_says_where_each_value_comes_from(browser: Any) -> None:
    async with busy() as home, operator_at(browser, home) as operator:
        page = operator.page
        await operator.open("configuration")
        await page.wait_for_selector("#values tr")
        await page.fill("#find", "cache.bytes")
        [row] = await page.eval_on_selector_all("#values tr", "all => all.map(e => e.innerText)")
        assert re.search(r"cache\.bytes\s+16777216\s+file\s+line \d+", row)
        await page.uncheck("#onlyset")
        await page.fill("#find", "listen.grace")
        [row] = await page.eval_on_selector_all("#values tr", "all => all.map(e => e.innerText)")
        assert re.search(r"listen\.grace\s+30\.?0?\s+default", row)
        assert "no change" in await operator.text("#ondisk")
        await page.click("#configuration summary")
        await page.fill("#trytext", "origins: [{name: pacs, url: http://pacs}]\ncache: {byts: 1}\n")
        await page.click("#try button")
        await operator.wait("() => tried.textContent.includes(':2: cache.byts: unknown key')")
        await page.fill("#trytext", "origins: [{name: pacs, url: http://pacs}]\n")
        await page.click("#try button")
        await operator.wait("() => tried.textContent.includes('with a restart')")
        assert "cache.bytes" in await operator.text("#tried")
        assert operator.faults == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", ["now", "configuration", "login"])
async def test_axe_finds_nothing_serious(browser: Any, token: Path, view: str, size: str) -> None:
    quiet = house(archive(), admin={"token_file": token})
    async with (
        quiet if view == "login" else busy() as home,
        operator_at(browser, home, size=SIZES[size], bypass_csp=True) as operator,
    ):
        await operator.open(view)
        if view == "login":
            await operator.page.wait_for_selector("#login:not([hidden])")
        else:
            await operator.look()
            await operator.page.wait_for_selector({"now": "#plans tr", "configuration": "#values tr"}[view])
        await axe.check(operator.page)

"""The page for operators of a service with many origins, many plans and long names."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.browser import axe
from tests.browser.operating import SINGLE, Operator, operator_at
from tests.house import House, house
from tests.scripted_origin import ScriptedOrigin, codestream, frame_of
from tests.studies import bodies, series_of

pytestmark = pytest.mark.anyio

LONG = "archive-of-the-university-hospital-radiology-department-north"
PROFILE = "a-profile-with-a-very-long-name-that-somebody-wrote-for-one-scanner"
WHO = {"authorization": "Bearer a"}
PLANS = 6
IMAGES = 4


@asynccontextmanager
async def crowded() -> AsyncIterator[House]:
    """A service with six origins, of which only the first is up, and six plans that are done."""
    origin = ScriptedOrigin().with_series([codestream(1000)])
    for number in range(PLANS):
        origin.with_series(bodies(IMAGES, 2000, number), series_of(10 + number))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a/long/path"
        silent = [{"name": f"{LONG}-{number}", "url": url} for number in range(5)]
        profiles = {PROFILE: {"extends": "sequential"}}
        async with house(
            origin, wait=False, more_origins=silent, profiles=profiles, log={"uids": True}
        ) as home:
            await home.viewer.get(f"/pacs{frame_of(0)}", headers=SINGLE | WHO)
            for number in range(PLANS):
                await home.begin_plan(PROFILE, series_of(10 + number), origin="pacs", headers=WHO)
            await home.until(lambda: [run.state for run in home.app.plans] == ["done"] * PLANS)
            await home.until(lambda: len(home.app.readiness._why) == len(silent))
            yield home


async def all_shown(operator: Operator) -> None:
    await operator.open()
    await operator.look()
    await operator.wait(f"() => document.querySelectorAll('#plans tr').length === {PLANS}")


async def test_all_origins_and_plans_are_seen_at_once_the_worst_first(browser: Any) -> None:
    async with crowded() as home, operator_at(browser, home) as operator:
        await all_shown(operator)
        page = operator.page
        states = await page.eval_on_selector_all("#origins .badge", "all => all.map((e) => e.textContent)")
        assert states == ["down"] * 5 + ["well"]
        assert await page.locator("#origins .facts:visible").count() == 0
        assert await page.locator("#plans .stages summary:visible").all_inner_texts() == (
            [f"all stages\n{2 * IMAGES} of {2 * IMAGES}"] * PLANS
        )
        await page.click("#origins article:last-child summary")
        await page.click("#plans tr:first-child summary")
        await operator.look()  # what a person opened stays open
        assert "Round trip" in await operator.text("#origins article:last-child .facts")
        assert await page.locator("#plans [data-part=stages]:visible").count() == 1
        assert operator.faults == []


@pytest.mark.parametrize("size", [(390, 844), (1280, 900), (2560, 1440)], ids=["narrow", "wide", "wall"])
async def test_long_names_fit_and_axe_finds_nothing(browser: Any, size: tuple[int, int]) -> None:
    async with (
        crowded() as home,
        operator_at(browser, home, size=size, bypass_csp=True) as operator,
    ):
        await all_shown(operator)
        await axe.check(operator.page, axe.ANY)

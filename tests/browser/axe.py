"""axe-core's findings in a page, and if the page fits into its window."""

import asyncio
from typing import Any

import pytest

from tests.browser.serving import MODULES

SOURCE = MODULES / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
ANY = ("minor", "moderate", *SERIOUS)


async def check(page: Any, impacts: tuple[str, ...] = SERIOUS) -> None:
    """Fails if axe finds something in the light or the dark page, or if the page is wider than its window."""
    if not SOURCE.exists():
        pytest.skip("axe-core is not installed: npm install --prefix tests/browser")
    await page.evaluate(await asyncio.to_thread(SOURCE.read_text, "utf-8"))
    for scheme in ("light", "dark"):
        # Without motion, as a colour that is read while it fades has no contrast of its own.
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await page.evaluate("() => axe.run()")
        assert [
            (scheme, each["id"], [node["html"][:200] for node in each["nodes"]])
            for each in found["violations"]
            if each["impact"] in impacts
        ] == []
        wide = await page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0

"""`python -m tests.browser.screenshot` draws docs/demo.png, the demo's page for README.

It runs the demo itself, with the real images and the link *4g*. The clocks in the picture are those of the
machine that draws it, so draw it on one that has nothing else to do. The second load is drawn, because the
proxy meets its origin in the first one.
"""

import asyncio
import shutil
import sys
from pathlib import Path

from playwright.async_api import async_playwright

from proxy.commands.demo import own_tree
from tests.browser.comparing import PATIENCE, Place, demo, reader_of
from tests.browser.viewing import FLAGS

PICTURE = Path(__file__).parents[2] / "docs" / "demo.png"
SIZE = {"width": 1360, "height": 1010}
SERIES = "CR chest 1841x1955"


async def draw(place: Place, picture: Path) -> None:
    """Loads one real study in two ways, and saves what a person sees once all is drawn."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        async with reader_of(browser, place) as reader:
            await reader.page.set_viewport_size(SIZE)
            await reader.open(SERIES, "whole,range", in_turn=True)
            await reader.page.keyboard.press("r")
            await reader.wait("() => document.body.dataset.state !== 'done'")
            await reader.until_over()
            for way in ("whole", "range"):
                for via in ("direct", "cold", "hot"):
                    await reader.until_drawn(way, via)
            await reader.wait("() => !document.querySelector('[data-drawing]')")
            await reader.page.screenshot(path=picture, timeout=PATIENCE)
        await browser.close()


def main() -> None:
    with demo(own_tree(), "4g") as place:
        asyncio.run(draw(place, Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE))


if __name__ == "__main__":
    main()

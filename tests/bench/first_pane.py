"""Seconds from `make demo` in a fresh clone to the first painted pane, after the set-up: prints them only.

Beside them it prints the processor time of the demo's processes, for a machine that has other things to do.

The clone has an environment and a cache folder of its own, so the demo's images are encoded too. The browser
runs before, as a person's does.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, async_playwright

from tests.browser.viewing import FLAGS

ROOT = Path(__file__).parents[2]
SETTING_UP = ("make", ".venv/.demo")
PROMISED = 20.0
"""Seconds after the set-up."""
PATIENCE = 300_000
"""Milliseconds after which the page is given up."""
PAINTED = "() => [...document.querySelectorAll('.pane')].some((pane) => pane.dataset.painted)"


def run() -> None:
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(("git", "clone", "--quiet", ROOT, clone), check=True)
        outside = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
        own = {name: value for name, value in os.environ.items() if name not in outside}
        environment = own | {"XDG_CACHE_HOME": str(Path(folder) / "cache"), "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        subprocess.run(SETTING_UP, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
        print(f"set-up: {time.monotonic() - began:.1f} s", flush=True)
        asyncio.run(_measured(clone, environment))


async def _measured(clone: Path, environment: dict[str, str]) -> None:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for title in ("first time", "again"):
            address, painted, used = await _once(browser, clone, environment)
            verdict = "kept" if painted <= PROMISED else "NOT KEPT"
            print(
                f"{title}: address after {address:.1f} s, first pane painted after {painted:.1f} s "
                f"(promised: {PROMISED:.0f} s, {verdict}; processor time of the demo {used:.1f} s)",
                flush=True,
            )
        await browser.close()


async def _once(browser: Browser, clone: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds until the demo says its address, until a pane is painted, and of processors until then."""
    began = time.monotonic()
    demo = await asyncio.create_subprocess_exec(
        "make", "demo", cwd=clone, env=environment, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert demo.stdout is not None
    try:
        url = b""
        while b"http://" not in url:
            url = await demo.stdout.readline()
            assert url, "the demo ended"
        address = time.monotonic() - began
        page = await (await browser.new_context()).new_page()
        await page.goto("http" + url.decode().partition("http")[2].split()[0])
        await page.wait_for_function(PAINTED, timeout=PATIENCE)
        painted = time.monotonic() - began
        used = await asyncio.to_thread(_used, demo.pid)
        await page.context.close()
        return address, painted, used
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        await demo.wait()


def _used(session: int) -> float:
    """Processor time in seconds of the processes of a session, and of those that they waited for (Linux)."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:  # proc(5): session is the sixth field, the first here the third
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")

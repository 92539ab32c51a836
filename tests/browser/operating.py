"""The page for operators in a browser: a service in this process, and a line to its admin listener to cut.

`python -m tests.browser.operating` draws docs/operate/page.png: a service that viewers have used for an hour.
"""

import asyncio
import random
import shutil
import socket
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import async_playwright

from proxy.telemetry.deliveries import CACHE, SECONDS, Counts
from proxy.telemetry.history import Past
from tests.browser.viewing import FLAGS
from tests.house import STORY, House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.streams import streams

PICTURE = Path(__file__).parents[2] / "docs" / "operate" / "page.png"
SIZE = {"width": 1360, "height": 1500}
TOKEN = "the-operators-token"
SINGLE = {"accept": "image/jphc"}
PATIENCE = 1000 * STORY
"""Milliseconds that the page may take; no test measures that."""


PATIENT = {"first_byte": 3600, "stall": 3600}
"""Timeouts of an origin that lets viewers wait."""


class Line:
    """A line to a server, which can be cut: what is on it ends, and nobody gets through."""

    def __init__(self) -> None:
        self.is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def to(self, host: str, port: int) -> AsyncIterator[str]:
        """Runs the line; yields the URL of its near end."""

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.is_cut:
                writer.transport.abort()
                return
            far_reader, far_writer = await asyncio.open_connection(host, port)
            both = {writer, far_writer}
            self._writers |= both
            try:
                await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
            finally:
                self._writers -= both

        async with streams(carry) as near:
            try:
                yield f"http://127.0.0.1:{near}"
            finally:
                self.cut()

    def cut(self) -> None:
        """Cuts the line."""
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Lets everybody through again."""
        self.is_cut = False


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@dataclass
class Operator:
    """A person at the page."""

    page: Any
    home: House
    line: Line
    url: str
    faults: list[str] = field(default_factory=list)
    """Uncaught errors, and errors in the console."""
    elsewhere: list[str] = field(default_factory=list)
    """Requests to other servers."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and URL of each request."""

    async def open(self, view: str = "now") -> None:
        """Opens the page."""
        await self.page.goto(f"{self.url}/page/#{view}")

    async def sign_in(self, token: str = TOKEN) -> None:
        """Gives the token, and waits for the answer."""
        await self.page.wait_for_selector("#login:not([hidden])")
        await self.page.fill("#token", token)
        await self.page.click("#login button")
        await self.wait(
            "() => ['in', 'failed'].includes(document.body.dataset.state) || loginfault.textContent"
        )

    async def look(self) -> None:
        """Waits until the page has shown a look that was taken from now on."""
        await self.wait(f"() => Number(document.body.dataset.looks ?? 0) >= {await self.looks() + 2}")

    async def looks(self) -> int:
        """The looks that the page has shown."""
        return int(await self.page.evaluate("() => document.body.dataset.looks ?? 0"))

    async def wait(self, condition: str) -> None:
        """Waits until a condition holds in the page."""
        await self.page.wait_for_function(condition, timeout=PATIENCE)

    async def text(self, selector: str) -> str:
        """The text that a person sees there."""
        return str(await self.page.inner_text(selector))

    async def say(self, answer: str) -> None:
        """Answers the question that the page asks before an order: `yes` or `no`."""
        await self.page.wait_for_selector("#sure[open]")
        await self.page.click(f"#sure button[value={answer}]")
        await self.page.wait_for_selector("#sure:not([open])", state="attached")


@asynccontextmanager
async def operator_at(
    browser: Any, home: House, *, size: tuple[int, int] = (1440, 900), **context: Any
) -> AsyncIterator[Operator]:
    """A new window on the page of a service, behind a line."""
    line, admin = Line(), home.admin.base_url
    home.app.live._every = 0.05
    window = await browser.new_context(viewport={"width": size[0], "height": size[1]}, **context)
    window.set_default_timeout(PATIENCE)
    try:
        async with line.to(admin.host, admin.port or 0) as url:
            page = await window.new_page()
            operator = Operator(page, home, line, url)

            def heard(message: Any) -> None:
                if message.type == "error":
                    operator.faults.append(message.text)

            def asked(request: Any) -> None:
                operator.asked.append((request.method, request.url))
                if not request.url.startswith(f"{url}/"):
                    operator.elsewhere.append(request.url)

            page.on("pageerror", lambda error: operator.faults.append(str(error)))
            page.on("console", heard)
            page.on("request", asked)
            yield operator
            await window.close()
    finally:
        await window.close()


# A service to look at


def busy_origin(images: int) -> tuple[ScriptedOrigin, asyncio.Event]:
    """An origin that answers for the first half of its frames, and for the others after the event."""
    barrier = asyncio.Event()
    origin = ScriptedOrigin().with_series([codestream(120_000, seed) for seed in range(images)])
    first = {frame_of(image) for image in range(images // 2)}

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, before=() if asked.path in first else (barrier,)) if body else None

    origin.script = script
    return origin, barrier


def an_hour(seed: int = 7) -> list[Past]:
    """Minutes of a working day: many hits, some misses, and a slow quarter of an hour."""
    dice, minutes = random.Random(seed), list[Past]()
    for minute in range(59, 0, -1):
        number = int(300 + 250 * dice.random())
        slow = 6.0 if 18 < minute < 31 else 1.0
        first, final = [0] * 15, [0] * 15
        answers = Counter(dict.fromkeys(CACHE, 0))
        for _ in range(number):
            is_hit = dice.random() < 0.86
            answers["hit" if is_hit else "miss"] += 1
            seconds = dice.lognormvariate(-6.0, 0.7) if is_hit else slow * dice.lognormvariate(-2.6, 0.5)
            first[_bucket(seconds)] += 1
            final[_bucket(seconds * (1.5 if is_hit else 4))] += 1
        minutes.append(Past(-60 * minute, Counts(answers, tuple(first), tuple(final))))
    return minutes


def _bucket(seconds: float) -> int:
    return bisect_left(SECONDS, seconds)


def give_an_hour(home: House) -> None:
    """Lets the service look back on an hour."""
    history = home.app._operating.history
    at = history.now().at
    history._past.extend(Past(at + past.at, past.counts) for past in an_hour())


@asynccontextmanager
async def busy(**settings: Any) -> AsyncIterator[House]:
    """A service that serves viewers, runs a plan, waits for its origin, and has another one that is down."""
    origin, barrier = busy_origin(40)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        silent = {"name": "research", "url": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        with TemporaryDirectory() as folder:
            given: dict[str, Any] = {
                "file": Path(folder) / "config.yaml",
                "cache": {"bytes": 16 << 20},
                "log": {"uids": True},
                "origin": {"limits": {"in_flight": 8}, "timeouts": PATIENT},
            }
            given |= settings
            both = house(origin, wait=False, more_origins=[silent], **given)
            async with both as home, asyncio.TaskGroup() as group:
                give_an_hour(home)
                viewers = ("Bearer a", "Bearer b", "Bearer c")
                for image in range(20):
                    headers = SINGLE | {"authorization": viewers[image % 7 % 3]}
                    for _ in range(2):
                        await home.viewer.get(f"/pacs{frame_of(image)}", headers=headers)
                who = {"authorization": viewers[0]}
                await home.begin_plan("interleaved", origin="pacs", headers=who)
                for image in range(24, 34):
                    headers = SINGLE | {"authorization": viewers[image % 3]}
                    group.create_task(home.viewer.get(f"/pacs{frame_of(image)}", headers=headers))
                await home.until(lambda: home.app.places.waiting.taken >= 8)
                await home.until(lambda: "research" in home.app.readiness._why)
                try:
                    yield home
                finally:
                    barrier.set()


async def draw(picture: Path, size: dict[str, int], scheme: str = "light", view: str = "now") -> None:
    """Saves what an operator sees of a busy service."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        corners = (size["width"], size["height"])
        async with busy() as home, operator_at(browser, home, size=corners, color_scheme=scheme) as operator:
            home.app.live._every = 0.5
            await operator.open(view)
            await operator.wait("() => document.body.dataset.state === 'in'")
            await operator.look()
            await operator.page.screenshot(path=picture, full_page=size["height"] < 900, timeout=PATIENCE)
        await browser.close()


def main(arguments: Sequence[str]) -> None:
    asyncio.run(draw(Path(arguments[0]) if arguments else PICTURE, SIZE))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The demo's page in a browser: real processes of a small tree, and an origin that can be told to fail."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pydicom.dataset import Dataset
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_proved
from proxy.commands.compare import pages_of, start_page
from proxy.commands.processes import Children, address, listen
from proxy.demo import images
from proxy.demo.origin import create_origin
from proxy.demo.serving import serve
from proxy.measure.network import Network, parse_network
from tests.house import STORY

RADIOGRAPH, VOLUME, UNSUPPORTED = "1024x1024", "series", "unsupported"
"""Parts of the titles of the series in the small tree."""
SLICES = 12
PATIENCE = 1000 * STORY
"""Milliseconds that a load may take; no test measures that."""


def small_tree(folders: pytest.TempPathFactory) -> Path:
    """A picture, a volume, and a picture that the page can't draw. Made once for all processes of a run."""
    pytest.importorskip("data_store", reason="needs the demo's images: pip install progressive-proxy[demo]")
    base = folders.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "page-tree"
    recipe = f"page-1 of {images.RECIPE}"
    prepare(folder, recipe, _instances, encode_proved, alternates=images.ALTERNATES)
    return folder


def _instances() -> list[images.DemoInstance]:
    pictures = {picture.name: picture for picture in images.pictures()}
    shoulder, head = pictures["mr-shoulder"].instances[0], pictures["ct-head"].instances[0]
    odd = deepcopy(head.dataset)
    odd.SeriesDescription = f"CT of an {UNSUPPORTED} kind"
    odd.ModalityLUTSequence = [Dataset()]
    return [
        shoulder,
        *pictures["ct-series"].instances[:SLICES],
        images.DemoInstance(odd, head.frames),
    ]


def run_origin(listener: socket.socket, tree: str, pages: tuple[str, ...], told: Path) -> None:
    """Serves the tree. While the file `told` names a status, frames are answered with it.

    EMPTY: there is no study. HOLD: requests for frames wait, and a file beside `told` says that one does.
    HOLD_RESTS: the first bytes of each response with a frame are sent, and the rest waits.
    """
    app = _Telling(create_origin(Path(tree)), told)
    serve(CORSMiddleware(app, allow_origins=pages, expose_headers=["Content-Range"]), listener)


class _Telling:
    def __init__(self, app: ASGIApp, told: Path) -> None:
        self._app = app
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = int(self._told.read_text())
        is_search = not scope["path"].rpartition("/")[2].isdigit()
        if status == HOLD and not is_search:
            held_of(self._told).touch()
            while status == HOLD:
                await asyncio.sleep(0.01)
                status = int(self._told.read_text())
        if status in (AS_USUAL, HOLD_RESTS) or (is_search and status != EMPTY):
            await self._app(scope, receive, send if is_search else self._held(send))
            return
        is_empty = status == EMPTY
        headers = [(b"content-type", b"application/dicom+json" if is_empty else b"text/plain")]
        start = {"type": "http.response.start", "status": 200 if is_empty else status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"[]" if is_empty else b"the origin says no"})

    def _held(self, send: Send) -> Send:
        """Sends the body only so far, as long as the origin is told to hold the rest back."""
        size = 0

        async def sending(message: Message) -> None:
            nonlocal size
            size += len(message.get("body", b""))
            while size > FIRST and int(self._told.read_text()) == HOLD_RESTS:
                await asyncio.sleep(0.01)
            await send(message)

        return sending


AS_USUAL, EMPTY, HOLD, HOLD_RESTS = 0, 1, 2, 3
"""Told to an origin: serve the tree, have nothing, hold frames back, or all but the first bytes of each.

Any other number is a status.
"""
FIRST = 196_608
"""Bytes of a frame that are sent at first: more than any viewer waits for before it draws."""


def held_of(told: Path) -> Path:
    """The file that says that a request for a frame is held back."""
    return told.with_suffix(".held")


@dataclass
class Place:
    """The running demo."""

    url: str
    admin: str
    tree: Path
    told: Path
    children: Children

    def tell(self, status: int) -> None:
        """Tells the origin how to answer from now on."""
        held_of(self.told).unlink(missing_ok=True)
        told = self.told.with_suffix(".new")
        told.write_text(str(status))
        told.replace(self.told)

    async def until_held(self) -> None:
        """Waits until the origin holds a request for a frame back."""
        while not held_of(self.told).exists():
            await asyncio.sleep(0.01)


@contextmanager
def demo(tree: Path, network: Network | str = "local", kept: Path | None = None) -> Iterator[Place]:
    """Runs the demo's processes. It blocks, so it is for fixtures.

    `kept` is the folder of the live viewer; without it, there is none.
    """
    with TemporaryDirectory() as folder, Children() as children:
        told = Path(folder) / "told"
        told.write_text(str(AS_USUAL))
        origin, page = listen(), listen()
        children.start("origin", run_origin, origin, str(tree), pages_of(page), told)
        host, port = address(origin)
        link = parse_network(network) if isinstance(network, str) else network
        _, admin = start_page(children, page, f"http://{host}:{port}", link, kept or Path(folder))
        url = pages_of(page)[0]
        origin.close()
        page.close()
        yield Place(url, admin, tree, told, children)


@dataclass
class Reader:
    """A person at the page."""

    page: Any
    place: Place
    faults: list[str] = field(default_factory=list)
    """Uncaught errors, and errors in the console."""
    elsewhere: list[str] = field(default_factory=list)
    """Requests to other machines."""

    async def open(self, title: str, ways: str = "whole,range", *, in_turn: bool = False) -> None:
        """Opens the page with the series whose title contains `title`, and waits until all has loaded."""
        state = await (await self.page.request.get(f"{self.place.url}/state")).json()
        titles = [series["title"] for series in state["series"]]
        number = next((at for at, each in enumerate(titles) if title in each), 0)
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.place.url}/#series={number}&ways={ways}&inturn={in_turn:d}")
        await self.until_over()

    async def until_over(self) -> None:
        """Waits until all panes have loaded, or have failed."""
        await self.wait("() => ['done', 'failed'].includes(document.body.dataset.state)")

    async def wait(self, condition: str) -> None:
        await self.page.wait_for_function(condition, timeout=PATIENCE)

    async def until_drawn(self, way: str, via: str) -> None:
        """Waits until a pane shows the complete picture."""
        await self.wait(f"() => /complete$/.test({_pane(way, via)}.querySelector('.picture').ariaLabel)")

    async def pane(self, way: str, via: str) -> dict[str, Any]:
        """The data attributes of a pane: state, first, final, painted, badge and problem."""
        found: dict[str, Any] = await self.page.evaluate(f"""() => {{
            const pane = {_pane(way, via)};
            const text = (name) => pane.querySelector(name).textContent;
            return {{ ...pane.dataset, badge: text('.badge'), problem: text('.problem'),
                      note: text('.drawnote'), slices: pane.querySelector('.slices').ariaLabel }};
        }}""")
        for name in ("first", "final"):
            found[name] = float(found.get(name, "nan"))
        found["painted"] = [int(each) for each in found["painted"].split()]
        return found

    async def greys(self, way: str, via: str) -> tuple[str, int, int]:
        """SHA-256 of a pane's grey values, its columns and its rows."""
        digest, columns, rows = await self.page.evaluate(f"""async () => {{
            const canvas = {_pane(way, via)}.querySelector('.picture');
            const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const greys = new Uint8Array(data.length / 4).map((_, at) => data[4 * at]);
            const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', greys));
            const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
            return [hex, canvas.width, canvas.height];
        }}""")
        return digest, columns, rows

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _asked(self, request: Any) -> None:
        if not re.match(r"(blob|data|about):|http://(127\.0\.0\.1|[a-z0-9-]+\.localhost):", request.url):
            self.elsewhere.append(request.url)


def _pane(way: str, via: str) -> str:
    return f'document.querySelector(\'.pane[data-way="{way}"][data-via="{via}"]\')'


@asynccontextmanager
async def reader_of(browser: Any, place: Place, **context: Any) -> AsyncIterator[Reader]:
    """A new window on the page, with a cache of its own."""
    window = await browser.new_context(viewport={"width": 1440, "height": 900}, **context)
    window.set_default_timeout(PATIENCE)
    page = await window.new_page()
    reader = Reader(page, place)
    page.on("pageerror", lambda error: reader.faults.append(str(error)))
    page.on("console", reader._heard)
    page.on("request", reader._asked)
    try:
        yield reader
    finally:
        place.tell(AS_USUAL)
        await window.close()

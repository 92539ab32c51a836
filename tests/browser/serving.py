"""Bundles and serves the page with Cornerstone3D.

The server also has each series as plain pixels. Cornerstone3D's drawing of those, without a codec and without
the proxy, is the reference for all pictures.
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.service.listeners import Listener, open_socket
from tests.browser.pictures import Series
from tests.tools import VIEWERS

HERE = Path(__file__).parent
PAGES, EXAMPLES = HERE / "page", HERE.parents[1] / "examples"
MODULES = HERE / "node_modules"
BUNDLE = MODULES / ".bundle"
NEEDED = {
    "node": "apt-get install nodejs",
    "chromium": "apt-get install --no-install-recommends chromium",
    "esbuild": "npm install --prefix tests/browser",
    "firefox-esr": "apt-get install --no-install-recommends firefox-esr",
}
"""Programs, and the command that installs each."""


def program(name: str) -> str:
    """The path of a program. Skips the test, and names the program, if it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(MODULES / ".bin"))
    if found is None:
        pytest.skip(f"{name} is not installed: {NEEDED[name]}")
    return found


def bundle() -> dict[str, bytes]:
    """The page's files by path. They are bundled again if a source has changed."""
    worker = MODULES / "@cornerstonejs/dicom-image-loader/dist/esm/decodeImageFrameWorker.js"
    examples = [PAGES / "example.js", EXAMPLES / "cornerstone3d" / "show.js"]
    entries = {"viewer": PAGES / "viewer.js", "example": examples[0], "decodeImageFrameWorker": worker}
    made = bundled(entries, [PAGES / "viewer.js", *examples])
    files = {"/": (PAGES / "index.html").read_bytes(), "/example": (PAGES / "example.html").read_bytes()}
    files |= {f"/{path.name}": path.read_bytes() for path in made.glob("*.js")}
    files["/wasm/openjphjs.wasm"] = (
        MODULES / "@cornerstonejs/codec-openjph/dist/openjphjs.wasm"
    ).read_bytes()
    return files


def bundled(entries: Mapping[str, Path], sources: Sequence[Path]) -> Path:
    """The folder with a bundle for each entry. Made once for each content of the sources.

    It is made aside and renamed, because the processes of a run share it.
    """
    program("node")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in (*sources, HERE / "package.json")))
    made, esbuild = BUNDLE / digest.hexdigest()[:16], program("esbuild")
    if not made.exists():
        BUNDLE.mkdir(exist_ok=True)
        builtins = [f"--external:{name}" for name in ("fs", "path", "crypto", "module", "worker_threads")]
        command = [
            esbuild, *(f"{name}={path}" for name, path in entries.items()), *builtins,
            "--bundle", "--minify", "--format=esm", "--platform=browser", "--log-level=error",
        ]  # fmt: skip
        modules = os.environ | {"NODE_PATH": f"{MODULES}:{VIEWERS}"}  # for the examples, which lie elsewhere
        with TemporaryDirectory(dir=BUNDLE) as folder:
            aside = Path(folder, "made")
            command.append(f"--outdir={aside}")
            subprocess.run(command, check=True, timeout=240, cwd=HERE, env=modules)
            with suppress(OSError):  # another process was first
                aside.rename(made)
    return made


EXPLICIT = "1.2.840.10008.1.2.1"
"""The transfer syntax of plain pixels."""


def media_of(path: str) -> str:
    """The media type of a file on the page's server."""
    if path.startswith("/plain/"):
        return "application/dicom+json" if path.endswith("/metadata") else "multipart/related; boundary=plain"
    return {".js": "text/javascript", ".wasm": "application/wasm"}.get(Path(path).suffix, "text/html")


@dataclass
class PageServer:
    """Serves the page, and series as plain pixels below `/plain`."""

    files: dict[str, bytes]
    url: str = ""

    def add(self, series: Series) -> None:
        """Adds a series as plain pixels."""
        self.files[f"/plain{series.path}/metadata"] = series.metadata
        head = f"--plain\r\nContent-Type: application/octet-stream;transfer-syntax={EXPLICIT}\r\n\r\n"
        for path, pixels in zip(series.frames, series.pixels, strict=True):
            self.files[f"/plain{path}"] = head.encode() + pixels.tobytes() + b"\r\n--plain--"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        body = self.files.get(path, b"")  # empty for other paths, because a browser also requests an icon
        headers = [(b"content-type", media_of(path).encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def page_server() -> AsyncIterator[PageServer]:
    """Runs the server of the page on a free port of the loopback interface."""
    server = PageServer(bundle())
    async with listening(server) as server.url:
        yield server


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """Serves an application on a free port of the loopback interface. Yields its URL."""
    socket = open_socket("127.0.0.1", 0)
    listener = Listener(app, socket, 1)
    serving = asyncio.create_task(listener.until_ended())
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        listener.end()
        await serving

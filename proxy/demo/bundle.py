"""Installs and bundles the real Cornerstone3D for the page, once, in a folder of the person's cache.

    absent ──begin──► installing ──► bundling ──► ready
                          └──────────────┴──────► failed ──begin──► installing

It begins only when the page asks, so nobody waits for it who compares. npm runs in the background with low
priority, and the scripts of its packages do not run.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

SOURCES = ("package.json", "viewer.js")
"""Files of this package that decide about the bundle."""
NPM = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier")
NODE_MODULES_OF_NODE = ("fs", "path", "crypto", "module", "worker_threads")
"""Modules that the codecs import only outside browsers."""
WORKER = "@cornerstonejs/dicom-image-loader/dist/esm/decodeImageFrameWorker.js"
CODECS = ("codec-openjph/dist/openjphjs.wasm", "codec-charls/dist/charlswasm_decode.wasm")
"""WebAssembly that the page's frames need, below `@cornerstonejs`."""
FILES = ("viewer.js", "decodeImageFrameWorker.js", *(codec.rpartition("/")[2] for codec in CODECS))
"""Files of the bundle."""
AT_MOST = 600.0
"""Seconds for npm."""


class BundleState(StrEnum):
    """How far the bundle is."""

    ABSENT = "absent"
    INSTALLING = "installing"
    BUNDLING = "bundling"
    READY = "ready"
    FAILED = "failed"


class NotBundled(Exception):
    """The bundle can't be made; says why and how to mend it."""


class Bundle:
    """The bundle, and the task that makes it."""

    def __init__(self, kept: Path) -> None:
        """`kept` is a folder for all bundles. Reads this package's files."""
        self._sources = {name: files("proxy.demo").joinpath("viewer", name).read_bytes() for name in SOURCES}
        digest = hashlib.sha256(b"".join(self._sources.values())).hexdigest()
        self.folder = kept / f"cornerstone-{digest[:16]}"
        """Folder of this version, with the bundle in `made`."""
        self.reason = ""
        """Why the bundle could not be made; empty if it did not fail."""
        self._nice = ("nice", "-n", "19") if shutil.which("nice") else ()
        self._task: asyncio.Task[None] | None = None
        self._state = BundleState.READY if self._is_made() else BundleState.ABSENT

    @property
    def state(self) -> BundleState:
        """How far the bundle is."""
        return self._state

    def begin(self) -> None:
        """Begins to make the bundle, unless it is there or being made."""
        if self._state in (BundleState.ABSENT, BundleState.FAILED):
            self._state, self.reason = BundleState.INSTALLING, ""
            self._task = asyncio.get_running_loop().create_task(self._make())

    async def aclose(self) -> None:
        """Ends the programs that make it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def file(self, name: str) -> Path | None:
        """Returns the path of a file of the bundle; None if there is none."""
        is_there = self._state is BundleState.READY and name in FILES
        return self.folder / "made" / name if is_there else None

    def _is_made(self) -> bool:
        return all((self.folder / "made" / name).is_file() for name in FILES)

    async def _make(self) -> None:
        try:
            await self._install()
            self._state = BundleState.BUNDLING
            await self._bundle()
            self._state = BundleState.READY
        except (NotBundled, OSError) as error:
            self._state, self.reason = BundleState.FAILED, str(error)

    async def _install(self) -> None:
        npm = await asyncio.to_thread(self._npm)
        if npm is not None and await self._run(npm, *NPM, "--silent"):
            raise NotBundled(
                f"npm can't install the packages. `npm install --prefix {self.folder}` says why."
            )

    def _npm(self) -> str | None:
        """Lays out the folder, and returns the path of npm; None if everything is installed."""
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise NotBundled(
                "npm is not installed. Install it (Debian: apt-get install npm), then try again."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._sources.items():
            (self.folder / name).write_bytes(content)
        return None if (self.folder / "node_modules" / WORKER).is_file() else npm

    async def _bundle(self) -> None:
        modules, making = self.folder / "node_modules", self.folder / f"making-{os.getpid()}"
        command = [
            "--bundle", "--minify", "--format=esm", "--platform=browser", "--log-level=error",
            *(f"--external:{name}" for name in NODE_MODULES_OF_NODE),
            f"viewer={self.folder / 'viewer.js'}", f"decodeImageFrameWorker={modules / WORKER}",
            f"--outdir={making}",
        ]  # fmt: skip
        if await self._run(str(modules / ".bin" / "esbuild"), *command):
            raise NotBundled("esbuild can't bundle the packages.")
        await asyncio.to_thread(self._finish, making)

    def _finish(self, making: Path) -> None:
        """Adds the codecs, and puts the bundle in its place."""
        for codec in CODECS:
            shutil.copy(self.folder / "node_modules" / "@cornerstonejs" / codec, making)
        shutil.rmtree(self.folder / "made", ignore_errors=True)
        making.rename(self.folder / "made")

    async def _run(self, *command: str) -> int:
        """Runs a program in a group of its own, which is ended with this task. Returns its exit status."""
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *self._nice,
            *command,
            cwd=self.folder,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(AT_MOST):
                return await process.wait()
        except TimeoutError:
            raise NotBundled(f"it took longer than {AT_MOST:.0f} s.") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

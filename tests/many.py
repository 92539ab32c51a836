"""The program with several workers, as processes of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from proxy.service.several.owners import Owners
from tests.house import STORY

SERVE = ("-c", "import sys; from proxy.cli import main; sys.exit(main(['serve', '--config', sys.argv[1]]))")
PATIENT = ("-m", "tests.patient", "serve", "--config")
SINGLE = {"accept": "image/jphc"}
ENDS_WITHIN = 10.0
"""Seconds in which the program may end by itself, before it is killed."""


def studies_of(number: int, count: int = 3, workers: int = 2) -> list[str]:
    """Studies that a worker keeps."""
    owners = Owners(range(workers))
    return [uid for uid in (f"1.2.{n}" for n in range(200)) if owners.of(uid.encode()) == number][:count]


def series_of(study: str) -> str:
    return f"/studies/{study}/series/{study}.1"


def children_of(process: int) -> list[int]:
    with suppress(FileNotFoundError):
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(each) for each in text.split()]
    return []


@dataclass
class Many:
    """The program."""

    config: Path
    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    viewer: httpx.AsyncClient = field(init=False)
    admin: httpx.AsyncClient = field(init=False)

    async def hear(self) -> None:
        """Collects the log."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"message": line.decode().strip()})

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if message in str(line["message"])]

    async def until_said(self, message: str, times: int = 1) -> dict[str, Any]:
        while len(self.said(message)) < times:
            assert self.process.returncode is None or message in str(self.lines), self.lines
            await asyncio.sleep(0.01)
        return self.said(message)[times - 1]

    async def until_serving(self) -> dict[str, Any]:
        """The parent's line in the log that has the addresses of its listeners, once it is written."""
        await self.until_said("serving")
        while not (found := [line for line in self.said("serving") if "admin" in line]):
            await asyncio.sleep(0.01)
        return found[0]

    async def until_ready(self) -> None:
        while (await self.admin.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.01)

    @property
    def workers(self) -> list[int]:
        """The processes of the workers."""
        return [worker for server in children_of(self.process.pid) for worker in children_of(server)]

    def worker(self, number: int) -> int:
        """The process of the worker that started last with this number."""
        started = [line for line in self.said("serving") if line.get("worker") == number]
        return int(started[-1]["pid"])

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels that are not named."""
        text = (await self.admin.get("/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"progressive_proxy_{name}" and labels.items() <= sample.labels.items()
        )

    async def answered(self, count: float, **labels: str) -> float:
        """Frames that were answered, once there are so many: each counts a moment after its last byte."""
        while (now := await self.metric("frame_answers_total", **labels)) < count:
            await asyncio.sleep(0.01)
        return now

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer on a connection of its own."""
        async with httpx.AsyncClient(base_url=self.viewer.base_url, timeout=STORY) as client:
            return await client.get(path, headers=SINGLE | headers)


@asynccontextmanager
async def many(folder: Path, url: str, **settings: Any) -> AsyncIterator[Many]:
    """Runs the program with two workers, and yields once it is ready."""
    async with begun(folder, url, **settings) as service:
        at = await service.until_serving()
        urls = {name: f"http://{at[name][0]}:{at[name][1]}" for name in ("viewers", "admin")}
        async with (
            # Hundreds of viewers wait for its connections, on a busy machine longer than any limit.
            httpx.AsyncClient(base_url=urls["viewers"], timeout=None) as service.viewer,
            httpx.AsyncClient(base_url=urls["admin"], timeout=None) as service.admin,
        ):
            await service.until_ready()
            yield service


@asynccontextmanager
async def begun(folder: Path, url: str, serve: Sequence[str] = SERVE, **settings: Any) -> AsyncIterator[Many]:
    """Runs the program. At the end it is told to end, and killed if it does not, with all that it started."""
    listen = {"viewers": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    given = {
        "listen": listen | settings.pop("listen", {}),
        "origins": [{"url": url, **settings.pop("at_origin", {})}],
        "admin": {"open": True},
        "workers": {"http": 2, "number": 1},
        "cache": {"bytes": "64MiB"},
        **settings,
    }
    config = folder / "config.yaml"
    await asyncio.to_thread(config.write_text, json.dumps(given), "utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *serve, str(config), stderr=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    service = Many(config, process)
    hearing = asyncio.create_task(service.hear())
    try:
        yield service
    finally:
        workers = service.workers if process.returncode is None else []
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):  # it has to end by itself for what it ran to be counted as covered
                await asyncio.wait_for(process.wait(), ENDS_WITHIN)
        if process.returncode is None:
            process.kill()
            for each in workers:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
        await process.wait()
        await hearing

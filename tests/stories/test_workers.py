"""A worker that dies, hangs or uses too much memory fails its own job and no other.

A worker that is stopped from outside (SIGSTOP) stays busy for as long as a test needs.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest

from proxy.codecs.decode import MOST_SAMPLES
from proxy.codecs.htj2k import encode_htj2k
from proxy.codecs.jobs import Alternate, Job, Made
from proxy.codecs.workers import ALONE, Workers
from proxy.errors import CodestreamError, ShuttingDown, WorkerLost
from proxy.wire.pixels import ImagePixel
from tests.codestreams import picture
from tests.house import House, house
from tests.stories.test_alternates import ALTERNATES, PIXELS, at, uncompressed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
]

GIB = 1 << 30
SMALL = picture(20, 30)
JLS = {"accept": "image/jls"}


def job(pixels: Any = SMALL, syntax: str = "1.2.840.10008.1.2.1", content: bytes | None = None) -> Job:
    told = ImagePixel(*pixels.shape)
    return Job(pixels.tobytes() if content is None else content, syntax, told, Alternate("jpegls"), 1)


def is_small(made: Made) -> bool:
    return np.array_equal(imagecodecs.jpegls_decode(made.content), SMALL)


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def state(pid: int) -> str:
    """State of a process: T is stopped, Z is a zombie (proc(5)). Empty if the process is gone."""
    return told(pid, "stat").rpartition(")")[2].strip()[:1]


def told(pid: int, what: str) -> str:
    """The contents of a file about a process in /proc."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def turns(count: int = 3) -> None:
    """Lets the event loop run everything that is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until_gone(pid: int) -> None:
    while exists(pid):
        await asyncio.sleep(0)
    await turns()


async def stopped(workers: Workers) -> int:
    """The only worker. It has done a job and is now stopped."""
    assert is_small(await workers.make(job()))
    [pid] = workers.running
    await halted(pid)
    return pid


async def halted(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        await asyncio.sleep(0)


async def asked(*asking: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Starts tasks and lets each run once."""
    tasks = [asyncio.create_task(each) for each in asking]
    await turns()
    return tasks


async def test_one_that_dies_over_its_job_costs_that_job_alone() -> None:
    async with Workers(1, 2 * GIB, 30) as workers:
        pid = await stopped(workers)
        bad, good = await asked(workers.make(job()), workers.make(job()))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="crashed"):
            await bad
        assert is_small(await good)
        assert pid not in workers.running
        assert len(workers.running) == 1


async def test_one_that_dies_while_it_is_idle_costs_nobody_anything() -> None:
    async with Workers(1, 2 * GIB, 30) as workers:
        for _ in range(3):
            assert is_small(await workers.make(job()))
            [pid] = workers.running
            os.kill(pid, signal.SIGKILL)
            await until_gone(pid)
        assert is_small(await workers.make(job()))


async def test_one_that_takes_too_long_is_killed() -> None:
    async with Workers(1, 2 * GIB, 3) as workers:
        pid = await stopped(workers)
        bad, good = await asked(workers.make(job()), workers.make(job()))
        with pytest.raises(WorkerLost, match="too long"):
            await bad
        assert not exists(pid)
        assert is_small(await good)


NONSENSE = {
    "nothing": "",
    "a head without end": r"printf '\377\377\377\377'",
    "no object": r"printf '\000\000\000\002[]'",
    "no size": r"""printf '\000\000\000\020{"content": 1  }'""",
    "another size": r"""printf '\000\000\000\054{"label":"","size":[1,2],"content":       9}x'""",
    "gigabytes": r"""printf '\000\000\000\056{"label":"","size":[1,2],"content":9999999999}x'""",
}


@pytest.mark.parametrize("answer", NONSENSE)
async def test_one_that_answers_nonsense_is_believed_nothing(answer: str) -> None:
    program = "sh", "-c", NONSENSE[answer]
    async with Workers(1, 2 * GIB, 30, program) as workers:
        for _ in range(3):
            with pytest.raises(WorkerLost, match="crashed"):
                await workers.make(job())
    assert not workers.running


async def test_one_with_too_little_time_answers_that() -> None:
    async with Workers(2, 2 * GIB, 0.001) as workers:
        ended = await asyncio.gather(*(workers.make(job()) for _ in range(6)), return_exceptions=True)
    assert [type(each) for each in ended] == [WorkerLost] * 6
    assert not workers.running


@pytest.mark.slow
async def test_a_picture_that_needs_more_memory_than_there_is_costs_itself_alone() -> None:
    edge = int(MOST_SAMPLES**0.5) // 2
    large = np.zeros((edge, edge), np.uint16)  # 64 MiB of pixels in a few hundred bytes of codestream
    content = encode_htj2k(large)
    bomb = job(large, "1.2.840.10008.1.2.4.202", content)
    assert len(content) < large.nbytes / 1000
    async with Workers(1, GIB // 4, 30) as workers:  # the smallest limit that the settings allow
        with pytest.raises(CodestreamError):
            await workers.make(bomb)
        assert is_small(await workers.make(job()))
    async with Workers(1, 2 * GIB, 30) as workers:
        made = await workers.make(bomb)
        assert made.size == (edge, edge)


async def test_where_the_service_ends_all_who_wait_are_told() -> None:
    async with Workers(1, 2 * GIB, 30) as workers:
        pid = await stopped(workers)
        waiting = await asked(*(workers.make(job(), is_planned=bool(n % 2)) for n in range(6)))
        assert not any(task.done() for task in waiting)
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in ended] == [ShuttingDown] * 6
    assert not exists(pid)
    assert not workers.running
    with pytest.raises(ShuttingDown):
        await workers.make(job())


async def test_whoever_leaves_is_not_worked_for() -> None:
    async with Workers(1, 2 * GIB, 30) as workers:
        pid = await stopped(workers)
        busy, left, good = await asked(*(workers.make(job()) for _ in range(3)))
        left.cancel()
        os.kill(pid, signal.SIGCONT)
        assert is_small(await busy)
        assert is_small(await good)
        assert left.cancelled()
        assert workers.running == {pid}


async def test_viewers_go_before_plans() -> None:
    async with Workers(1, 2 * GIB, 30) as workers:
        pid, order = await stopped(workers), list[str]()

        async def making(name: str, *, is_planned: bool) -> None:
            await workers.make(job(), is_planned=is_planned)
            order.append(name)

        first = await asked(making("busy", is_planned=True))
        rest = await asked(making("plan", is_planned=True), making("viewer", is_planned=False))
        os.kill(pid, signal.SIGCONT)
        await asyncio.gather(*first, *rest)
    assert order == ["busy", "viewer", "plan"]


LIMITS = {"Max address space": 2 * GIB, "Max file size": 0, "Max core file size": 0}


async def test_a_worker_is_confined_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSWORD", "hidden")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    async with Workers(1, 2 * GIB, 30) as workers:
        assert is_small(await workers.make(job()))
        [pid] = workers.running
        environment, limits = told(pid, "environ"), told(pid, "limits")
    named = {entry.partition("=")[0] for entry in environment.split("\0") if entry}
    assert set(ALONE) <= named <= {"PATH", "PYTHONPATH", "VIRTUAL_ENV", "LC_CTYPE", *ALONE}
    assert "hidden" not in environment
    for name, most in LIMITS.items():
        [line] = [line for line in limits.splitlines() if line.startswith(name)]
        assert line.removeprefix(name).split()[:2] == [str(most)] * 2


PARENT = """
import asyncio, sys
from tests.stories.test_workers import GIB, Workers, job

async def main():
    async with Workers(2, 2 * GIB, 30) as workers:
        await asyncio.gather(*(workers.make(job()) for _ in range(8)))
        print(*workers.running, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_workers_end_with_a_service_that_was_killed() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    pids = [int(each) for each in (await process.stdout.readline()).split()]
    assert pids
    assert all(map(exists, pids))
    process.kill()
    await process.wait()
    for pid in pids:
        while state(pid) not in ("", "Z"):
            await asyncio.sleep(0)


def ask(home: House, image: int) -> Coroutine[Any, Any, httpx.Response]:
    return home.viewer.get(at("/jls/", image), headers=JLS)


async def busy(home: House) -> int:
    """The only worker of a house, busy for as long as the test needs."""
    assert (await ask(home, 0)).status_code == 200
    [pid] = home.app.workers.running
    await halted(pid)
    return pid


async def test_a_viewer_whose_worker_died_is_told_and_the_next_is_served() -> None:
    async with house(uncompressed(3), alternates=ALTERNATES, workers={"number": 1}) as home:
        pid = await busy(home)
        bad = asyncio.create_task(ask(home, 1))
        await home.until(lambda: home.metric("jobs", state="running") == 1)
        good = asyncio.create_task(ask(home, 2))
        await home.until(lambda: home.app.workers.waiting == 1)
        os.kill(pid, signal.SIGKILL)
        told, served = await asyncio.gather(bad, good)
        assert (told.status_code, told.json()["title"]) == (502, "WorkerLost")
        assert np.array_equal(imagecodecs.jpegls_decode(served.content), PIXELS + 2)
        again = await ask(home, 1)
        assert np.array_equal(imagecodecs.jpegls_decode(again.content), PIXELS + 1)
    assert not home.app.workers.running


async def test_a_service_that_ends_leaves_no_viewer_waiting_and_no_worker_behind() -> None:
    end = {"grace": 0.2}
    async with house(uncompressed(4), alternates=ALTERNATES, workers={"number": 1}, listen=end) as home:
        pid = await busy(home)
        asking = [asyncio.create_task(ask(home, image)) for image in (1, 2, 3)]
        await home.until(lambda: home.app.workers.waiting == 2)
        home.stop.set()
        ended = await asyncio.gather(*asking, return_exceptions=True)
    for each in ended:
        assert isinstance(each, httpx.TransportError) or (
            isinstance(each, httpx.Response) and each.is_server_error
        )
    assert not exists(pid)
    assert not home.app.workers.running

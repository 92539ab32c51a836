"""Several workers at one address: who answers, what is fetched once, and what happens when one dies."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.admin.status import Status
from tests.house import STORY, cache_did, events_in, read_until
from tests.many import SINGLE, Many, begun, children_of, many, series_of, studies_of
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest, running
from tests.stories.test_tls import Files

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="sockets are handed over as on Linux"),
]

OF = {number: studies_of(number) for number in (0, 1)}
"""Studies of each worker."""
BOTH = OF[0] + OF[1]
FIRST = {number: frame_of(0, series_of(OF[number][0])) for number in (0, 1)}
"""A frame of each worker."""


def archive(frames: int = 2, size: int = 100_000) -> ScriptedOrigin:
    """An origin with the studies of both workers."""
    origin = ScriptedOrigin()
    for place, study in enumerate(BOTH):
        bodies = [codestream(size, 100 * place + image + 1) for image in range(frames)]
        origin.with_series(bodies, series_of(study))
    return origin


@asynccontextmanager
async def home(origin: ScriptedOrigin, folder: Path, **settings: Any) -> AsyncIterator[Many]:
    async with asyncio.timeout(STORY), running(origin), many(folder, origin.url, **settings) as service:
        yield service


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until_gone(*pids: int) -> None:
    while not all(map(is_gone, pids)):
        await asyncio.sleep(0.01)


async def lose(service: Many, number: int) -> None:
    """Kills a worker, and waits until its parent knows."""
    lost = len(service.said("a worker died"))
    os.kill(service.worker(number), signal.SIGKILL)
    await service.until_said("a worker died", lost + 1)


async def until_back(service: Many, number: int) -> None:
    """Waits until a worker that was lost serves again."""
    before = len([line for line in service.said("serving") if line.get("worker") == number])
    while len([line for line in service.said("serving") if line.get("worker") == number]) == before:
        await asyncio.sleep(0.01)
    await service.until_ready()


def fetched(origin: ScriptedOrigin) -> Counter[str]:
    """Bytes of each frame that the origin sent."""
    sent = Counter[str]()
    for asked in origin.frame_requests:
        answered = honest(origin.frames[asked.path], asked)
        sent[asked.path] += sum(len(piece) for piece in answered.pieces if isinstance(piece, bytes))
    return sent


async def test_each_frame_is_fetched_once_by_all_workers_together(tmp_path: Path) -> None:
    origin = archive(frames=8)
    async with home(origin, tmp_path) as service:
        paths = [frame_of(image, series_of(study)) for study in BOTH for image in range(8)]
        viewers = [await asyncio.gather(*map(service.get, paths)) for _ in range(3)]
        for answers in viewers:
            assert [answer.content for answer in answers] == [origin.frames[path] for path in paths]
        assert fetched(origin) == {path: len(origin.frames[path]) for path in paths}
        assert await service.answered(3 * len(paths), status="200") == 3 * len(paths)
        assert await service.metric("moved_connections_total", outcome="stayed") == 0
        mixed = [await service.viewer.get(path, headers=SINGLE) for path in paths]
        assert {cache_did(answer) for answer in mixed} == {"hit"}


async def test_the_status_is_that_of_all_workers_together(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        for number in (0, 1):
            for _ in range(2):
                await service.get(FIRST[number])
        await service.answered(4)
        told = Status.model_validate_json((await service.admin.get("/v1/status")).content)
        assert (told.ready, told.processes) == ("ok", 2)
        assert (told.answers["hit"], told.answers["miss"]) == (2, 2)
        assert told.budget == await service.metric("cache_budget_bytes")
        [origin] = told.origins
        assert origin.form == "image/jphc"
        async with service.admin.stream("GET", "/v1/status/events") as answer:
            text = b""
            async for piece in answer.aiter_raw():
                text += piece
                if b"event: status" in text and text.endswith(b"\n\n"):
                    break
        assert [name for name, _ in events_in(text.decode())] == ["hour", "status"]
        assert (await service.admin.delete("/v1/origins/origin/forms")).status_code == 204
        while Status.model_validate_json((await service.admin.get("/v1/status")).content).origins[0].form:
            await asyncio.sleep(0.01)  # until the other worker has heard of it


async def test_all_workers_name_a_caller_alike_also_after_a_rolling_restart(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with home(archive(), tmp_path, audit={"file": str(file)}) as service:
        who = set[str]()
        for _ in range(2):
            before = service.workers
            for number in (0, 1):
                answer = await service.get(FIRST[number], authorization="Bearer a")
                assert answer.status_code == 200
            told = Status.model_validate_json((await service.admin.get("/v1/status")).content)
            [caller] = told.callers
            assert caller.held >= 2 * 65536
            who.add(caller.who)
            service.process.send_signal(signal.SIGHUP)
            await until_gone(*before)
            await service.until_ready()
    noted = [json.loads(line) for line in (await asyncio.to_thread(file.read_text)).splitlines()]
    assert {line["who"] for line in noted if line["who"]} == who
    assert len(who) == 1


async def test_a_worker_that_dies_costs_only_what_it_was_doing(tmp_path: Path) -> None:
    origin = archive()
    async with home(origin, tmp_path) as service:
        for _ in range(2):
            assert [(await service.get(FIRST[number])).status_code for number in (0, 1)] == [200, 200]
        answered = await service.answered(4)
        await lose(service, 0)
        kept, moved = await service.get(FIRST[1]), await service.get(FIRST[0])
        assert (cache_did(kept), moved.content) == ("hit", origin.frames[FIRST[0]])
        assert await service.answered(answered + 2) == answered + 2  # a sum that never falls
        await until_back(service, 0)
        assert await service.metric("lost_workers_total") == 1
        assert cache_did(await service.get(FIRST[1])) == "hit"
        assert (await service.get(FIRST[0])).content == origin.frames[FIRST[0]]
        assert await service.answered(answered + 4) == answered + 4


async def test_a_connection_that_waits_for_a_worker_that_dies_is_served_by_another(tmp_path: Path) -> None:
    origin = archive()
    async with home(origin, tmp_path) as service:
        assert (await service.get(FIRST[0])).status_code == 200
        pid = service.worker(0)
        os.kill(pid, signal.SIGSTOP)
        waiting = [asyncio.create_task(service.get(FIRST[0])) for _ in range(8)]
        while await moved(service) < 1:
            waiting.append(asyncio.create_task(service.get(FIRST[0])))
            await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        whole = [answer for answer in answers if isinstance(answer, httpx.Response)]
        assert whole
        assert {answer.content for answer in whole} == {origin.frames[FIRST[0]]}


async def moved(service: Many) -> float:
    """Connections that the second worker handed over; the first one does not say."""
    return await service.metric("moved_connections_total", outcome="moved")


async def test_a_purge_and_a_change_reach_every_worker(tmp_path: Path) -> None:
    origin = archive()
    study, frame = OF[0][0], FIRST[0]
    upload = Reply(200, {"content-type": "application/dicom+json"}, (b"{}",))
    origin.script = lambda asked: upload if asked.method in ("POST", "DELETE") else None
    async with home(origin, tmp_path) as service:
        for change in ("purge", "deletion"):
            await lose(service, 0)
            assert (await service.get(frame)).status_code == 200  # so the other one has it too
            await until_back(service, 0)
            if change == "purge":
                assert (await service.admin.delete(f"/v1/cache/studies/{study}")).status_code == 204
            else:
                assert (await service.viewer.delete(f"/studies/{study}")).status_code == 200
            before = origin.requests_of(frame)
            await lose(service, 0)
            assert cache_did(await service.get(frame)) != "hit"
            assert origin.requests_of(frame) > before
            await until_back(service, 0)


async def test_plans_run_where_their_study_is_and_are_found_there(tmp_path: Path) -> None:
    origin = archive(frames=3)
    async with home(origin, tmp_path) as service:
        for number in (0, 1):
            study = OF[number][1]
            wanted = {"study": study, "series": f"{study}.1", "profile": "sequential"}
            made = await service.admin.post("/v1/plans", json=wanted)
            assert made.status_code == 202
            at = made.headers["location"]
            told = [name for name, _ in events_in((await service.admin.get(f"{at}/events")).text)]
            assert told[-1] == "end"
            assert (await service.admin.get(at)).json()["state"] == "done"
            before = len(origin.frame_requests)
            for image in range(3):
                assert (await service.get(frame_of(image, series_of(study)))).status_code == 200
            assert len(origin.frame_requests) == before
            assert (await service.admin.delete(at)).status_code == 204
        assert (await service.admin.get("/v1/plans/unknown")).status_code == 404
        for body in (b"", b"[]", b'{"study": 1}', b"{" * 2000):
            assert (await service.admin.post("/v1/plans", content=body)).status_code == 422


async def test_the_events_of_a_plan_arrive_one_by_one_and_its_follower_may_leave(tmp_path: Path) -> None:
    origin, door = archive(frames=3), asyncio.Event()
    study = OF[1][1]
    last = frame_of(2, series_of(study))

    def script(asked: Asked) -> Reply | None:
        return honest(origin.frames[last], asked, before=[door]) if asked.path == last else None

    origin.script = script
    async with home(origin, tmp_path) as service:
        wanted = {"study": study, "series": f"{study}.1", "profile": "sequential"}
        at = (await service.admin.post("/v1/plans", json=wanted)).headers["location"]
        async with service.admin.stream("GET", f"{at}/events") as followed:
            assert await anext(followed.aiter_lines())
        door.set()
        told = [name for name, _ in events_in((await service.admin.get(f"{at}/events")).text)]
        assert told[-1] == "end"


async def test_the_lock_of_the_admin_listener_holds(tmp_path: Path) -> None:
    token = tmp_path / "token"
    await asyncio.to_thread(token.write_text, "a-token-of-the-operator")
    async with home(archive(), tmp_path, admin={"token_file": str(token)}) as service:
        shown = {"authorization": "Bearer a-token-of-the-operator"}
        ways = [("POST", "/v1/plans"), ("GET", "/v1/origins"), ("DELETE", f"/v1/cache/studies/{OF[0][0]}")]
        for method, path in ways:
            assert (await service.admin.request(method, path)).status_code == 401
            assert (await service.admin.request(method, path, headers=shown)).status_code != 401
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await service.admin.get(path)).status_code == 200


async def test_health_speaks_for_all_workers(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        told = (await service.admin.get("/readyz?verbose")).text.splitlines()
        assert [line for line in told if "started ok" in line] == [
            f"[+]worker {number}: started ok" for number in (0, 1)
        ]
        assert told[-1] == "readyz check passed"
        assert list((await service.admin.get("/v1/origins")).json()) == ["origin"]
        os.kill(service.worker(1), signal.SIGSTOP)
        hung = await asyncio.gather(*(service.admin.get(path) for path in ("/livez", "/readyz", "/metrics")))
        assert [answer.status_code for answer in hung] == [503, 503, 200]
        await lose(service, 1)
        await until_back(service, 1)


async def test_the_limits_of_an_origin_hold_for_all_workers_together(tmp_path: Path) -> None:
    origin, door = archive(frames=8), asyncio.Event()
    under_way, most = 0, 0

    def script(asked: Asked) -> Reply | None:
        nonlocal under_way, most
        body = origin.frames.get(asked.path)
        if body is None:
            return None
        under_way += 1
        most = max(most, under_way)
        return honest(body, asked, before=[door])

    origin.script = script
    async with home(origin, tmp_path, at_origin={"limits": {"in_flight": 7}}) as service:
        paths = [frame_of(image, series_of(study)) for study in BOTH for image in range(8)]
        asking = [asyncio.create_task(service.get(path)) for path in paths]
        while await service.metric("fills_in_flight") < len(paths):
            await asyncio.sleep(0.01)
        assert 0 < most <= 7
        door.set()
        assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}


class Unbroken:
    """Viewers who ask all the time, each on its kept connection, and note every fault."""

    def __init__(self, service: Many, origin: ScriptedOrigin) -> None:
        self.service, self.origin = service, origin
        self.faults = list[str]()
        self.answered = 0
        self.may_end = False

    async def ask(self, study: str) -> None:
        async with httpx.AsyncClient(base_url=self.service.viewer.base_url, timeout=STORY) as client:
            while not self.may_end:
                path = frame_of(self.answered % 2, series_of(study))
                try:
                    answer = await client.get(path, headers=SINGLE)
                    if answer.content != self.origin.frames[path]:
                        self.faults.append(f"{answer.status_code} {path}")
                except httpx.TransportError as error:
                    self.faults.append(repr(error))
                self.answered += 1


async def test_a_rolling_restart_drops_no_answer_and_takes_the_new_configuration(tmp_path: Path) -> None:
    origin = archive()
    async with home(origin, tmp_path) as service:
        before = service.workers
        crowd = Unbroken(service, origin)
        asking = [asyncio.create_task(crowd.ask(study)) for study in BOTH]
        plan = service.admin.get("/v1/plans/none")
        assert (await plan).status_code == 404
        answered = await service.metric("frame_answers_total")
        given = json.loads(await asyncio.to_thread(service.config.read_text))
        given["cors"] = {"origins": ["https://viewer.example"]}
        await asyncio.to_thread(service.config.write_text, json.dumps(given))
        service.process.send_signal(signal.SIGHUP)
        await until_gone(*before)
        assert await service.metric("frame_answers_total") >= answered
        crowd.may_end = True
        await asyncio.gather(*asking)
        assert crowd.faults == []
        assert crowd.answered > 0
        assert not set(before) & set(service.workers)
        assert await service.metric("lost_workers_total") == 0
        for number in (0, 1):
            answer = await service.get(FIRST[number], origin="https://viewer.example")
            assert answer.headers["access-control-allow-origin"] == "https://viewer.example"


async def test_a_changed_file_is_one_reload_for_all_workers(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        given = json.loads(await asyncio.to_thread(service.config.read_text))

        def reloads_of(number: int) -> int:
            return sum(line.get("worker") == number for line in service.said("configuration reloaded"))

        indent = 0
        while not (reloads_of(0) and reloads_of(1)):  # a worker looks every two seconds
            indent += 1
            await asyncio.to_thread(service.config.write_text, json.dumps(given, indent=indent))
            await asyncio.sleep(0.1)
        while await service.metric("reloads_total", result="good") != reloads_of(0):
            await asyncio.sleep(0.1)


async def test_a_bad_configuration_restarts_nothing(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        before = service.workers
        await asyncio.to_thread(service.config.write_text, "origins: 7")
        service.process.send_signal(signal.SIGHUP)
        await service.until_said("nothing changes")
        assert service.workers == before
        assert (await service.get(FIRST[0])).status_code == 200


async def test_answers_under_way_end_before_the_service_does(tmp_path: Path) -> None:
    origin, door = archive(), asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None:
            return None
        return Reply(200, honest(body, asked).headers, (body[:70_000], door, body[70_000:]))

    origin.script = script
    async with home(origin, tmp_path) as service:
        pids = service.workers
        async with (
            service.viewer.stream("GET", FIRST[0], headers=SINGLE) as one,
            service.viewer.stream("GET", FIRST[1], headers=SINGLE) as other,
        ):
            streams = [one.aiter_raw(), other.aiter_raw()]
            begins = [await read_until(stream, 1) for stream in streams]
            service.process.send_signal(signal.SIGTERM)
            while (await service.admin.get("/readyz")).json()["status"] != "ending":
                await asyncio.sleep(0.01)
            door.set()
            wholes = [begin + await read_all(rest) for begin, rest in zip(begins, streams, strict=True)]
            assert wholes == [origin.frames[FIRST[number]] for number in (0, 1)]
        assert await service.process.wait() == 0
        assert all(map(is_gone, pids))


async def read_all(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


async def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        pids = service.workers
        service.process.kill()
        await until_gone(*pids)


async def test_over_tls_each_request_reaches_the_worker_of_its_study(tmp_path: Path) -> None:
    files, origin = Files(tmp_path), archive()
    listen = {"tls": {name: str(path) for name, path in files.certify("proxy").items()}}
    async with (
        asyncio.timeout(STORY),
        running(origin),
        begun(tmp_path, origin.url, listen=listen) as service,
    ):
        host, port = (await service.until_serving())["viewers"]
        trusted = ssl.create_default_context(cafile=str(files.ca_file))
        async with httpx.AsyncClient(verify=trusted, timeout=None) as viewer:
            for did in ("fwd=miss", "hit"):
                for path in FIRST.values():
                    answer = await viewer.get(f"https://{host}:{port}{path}", headers=SINGLE)
                    assert answer.content == origin.frames[path]
                    assert cache_did(answer).startswith(did)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
async def test_signals_for_the_parent_end_nobody_else(tmp_path: Path, number: signal.Signals) -> None:
    origin = archive()
    async with home(origin, tmp_path) as service:
        [server], workers = children_of(service.process.pid), service.workers
        for each in (server, *workers):
            os.kill(each, number)
        assert [(await service.get(path)).content for path in FIRST.values()] == [
            origin.frames[path] for path in FIRST.values()
        ]
        assert (children_of(service.process.pid), service.workers) == ([server], workers)


async def test_a_fork_server_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        pids, [server] = service.workers, children_of(service.process.pid)
        os.kill(server, signal.SIGSTOP)
        service.process.terminate()
        assert await service.process.wait() == 0
        await until_gone(server, *pids)


async def test_a_service_whose_fork_server_is_killed_ends_in_order(tmp_path: Path) -> None:
    """A worker that dies later could not be replaced."""
    async with home(archive(), tmp_path) as service:
        pids, [server] = service.workers, children_of(service.process.pid)
        os.kill(server, signal.SIGKILL)
        assert await service.process.wait() == 1
        assert service.said("the process that forks the workers is gone")
        await until_gone(*pids)


async def test_a_worker_has_no_socket_but_its_own(tmp_path: Path) -> None:
    async with home(archive(), tmp_path) as service:
        at = service.admin.base_url
        parent, *workers = (sockets_of(each) for each in (service.process.pid, *service.workers))
        [admin] = parent.keys() & await asyncio.to_thread(listening, at.port or 0)
        assert [admin in each for each in workers] == [False, False]
        # The viewers' listener, and the ends by which they hand over.
        assert workers[0].keys() & workers[1].keys() < parent.keys()
        assert all(flags & os.O_CLOEXEC for each in workers for flags in each.values())


def sockets_of(process: int) -> dict[str, int]:
    """The flags of each socket that a process has, beside the standard descriptors."""
    found = dict[str, int]()
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed
            flags = Path(f"/proc/{process}/fdinfo/{each.name}").read_text("ascii").split()[3]
            if (name := str(each.readlink())).startswith("socket:") and int(each.name) > 2:
                found[name] = int(flags, 8)
    return found


def listening(port: int) -> set[str]:
    """The sockets that listen at a port of IPv4."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    at = f":{port:04X}"
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(at) and row[3] == "0A"}


async def test_a_fault_of_the_configuration_ends_the_start(tmp_path: Path) -> None:
    missing = {"policy": "ask-origin", "key_file": str(tmp_path / "none")}
    async with begun(tmp_path, "http://127.0.0.1:9", access=missing) as service:
        assert await service.process.wait() == 1
    assert service.said("access.key_file: ")
    assert service.said("a worker ended before it was ready")


async def test_one_worker_is_one_process(tmp_path: Path) -> None:
    origin = archive()
    async with home(origin, tmp_path, workers={"http": 1}) as service:
        assert (await service.get(FIRST[0])).content == origin.frames[FIRST[0]]
        assert service.workers == []

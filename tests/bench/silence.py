"""The longest silence of the event loop while the metadata of large series goes through it.

A beat in the loop of the proxy notes how late it is. The kernel tells how long the loop's thread waited for a
core meanwhile, which other programs on the machine cause, and how long it ran. A thread that waits for the
interpreter, while another thread of the proxy has it, does neither.
"""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import get_native_id
from typing import Any

import httpx
import uvloop
from starlette.types import Receive, Scope, Send

from proxy.commands.processes import Children, address, listen
from proxy.service.app import create_app
from proxy.service.interpreter import make_ready
from proxy.service.listeners import Listener
from proxy.service.run import _serve
from proxy.settings.model import Settings
from tests.bench.shared import print_row, start

FRAMES, INSTANCES = 20_000, 600
"""Frames of the one instance of a series, and instances of another one, each with `EACH` bytes of JSON."""
EACH = 8000
MANY = 20
"""Viewers that read at once."""
BEAT = 0.001
"""Seconds between two beats."""
AIM = 20
"""Milliseconds that no silence should be longer than, from issue 23."""
WIDTHS = (40, 10, 12, 13)
JSON = "application/dicom+json"
WAYS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "compress: gzip": {"listen": {"compress": "gzip"}},
    "compress: zstd": {"listen": {"compress": "zstd"}},
    "rewrite": {"origins": [{"rewrite": True}]},
}


def _element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


@cache
def texts() -> dict[str, bytes]:
    """Metadata by series."""
    place = {"00200032": _element("DS", -120.5, 33.25, 7.0)}
    frames = [
        {
            "00209113": _element("SQ", place),
            "00209111": _element(
                "SQ", {"00209157": _element("UL", 1, number), "00209056": _element("SH", "1")}
            ),
            "0048021A": _element("SQ", {"0048021E": _element("SL", number), "0048021F": _element("SL", 1)}),
        }
        for number in range(FRAMES)
    ]
    size = {"00280010": _element("US", 512), "00280011": _element("US", 512)}
    large = {
        "00080018": _element("UI", "1.1"),
        "00280008": _element("IS", FRAMES),
        **size,
        "52009230": _element("SQ", *frames),
    }
    many = []
    for number in range(INSTANCES):
        item: dict[str, object] = {
            "00080018": _element("UI", f"1.{number + 1}"),
            "00200013": _element("IS", number),
            **size,
            **place,
            "7FE00010": {"vr": "OW", "BulkDataURI": f"http://origin/studies/1/series/2/instances/1.{number}"},
        }
        left = EACH - len(json.dumps(item))
        item |= {f"0019{at:04X}": _element("LO", f"value {number} {at}") for at in range(left // 50)}
        many.append(item)
    return {"1": json.dumps([large]).encode(), "2": json.dumps(many).encode()}


NAMES = {"1": f"one instance of {FRAMES:,} frames", "2": f"{INSTANCES} instances"}


def run() -> None:
    print(
        f"The longest silence of the loop in milliseconds; none should be longer than {AIM}. Beside it, the\n"
        "longest one without the waits for a core, which other programs on the machine cause, and the\n"
        "longest time that the loop's thread ran at a stretch."
    )
    with Children() as children:
        plain, packed = (start(children, "origin", _run_origin, is_packed) for is_packed in (False, True))
        for name, settings in WAYS.items():
            for origin, told in ((plain, ""), (packed, ", the origin sends gzip")):
                if origin is packed and name.startswith("compress"):
                    continue
                print()
                print_row((f"{name}{told}", "silence", "with a core", "at a stretch"), WIDTHS)
                with _watched(origin, settings) as (proxy, admin, told_by):
                    _show(proxy, admin, told_by)


def _show(proxy: str, admin: str, told_by: Connection) -> None:
    for series, title in NAMES.items():
        print(f"{title}, {len(texts()[series]) / 1e6:.1f} MB")
        path = f"{proxy}/studies/1/series/{series}/metadata"
        for what, accepted, count in (
            ("first, zstd or gzip", "gzip, zstd", 1),
            ("held, zstd or gzip", "gzip, zstd", 1),
            ("held, gzip", "gzip", 1),
            ("held, plain", "identity", 1),
            (f"held, plain, {MANY} at once", "identity", MANY),
        ):
            _told(told_by)
            asyncio.run(_read(path, accepted, count))
            _row(what, _told(told_by))
        _told(told_by)
        asyncio.run(_planned(admin, proxy, series))
        _row("a plan for the series", _told(told_by))


def _row(what: str, found: list[float]) -> None:
    print_row((f"  {what}", *(f"{1000 * each:.1f}" for each in found)), WIDTHS)


def _told(told_by: Connection) -> list[float]:
    """The longest silences and the longest stretch in seconds, since the last time."""
    told_by.send(None)
    return [float(each) for each in told_by.recv()]


async def _read(path: str, accepted: str, count: int) -> None:
    headers = {"accept": JSON, "accept-encoding": accepted}
    async with httpx.AsyncClient(timeout=300, trust_env=False) as client:

        async def one() -> None:
            async with client.stream("GET", path, headers=headers) as answer:
                assert answer.status_code == 200, answer.status_code
                async for _ in answer.aiter_raw():
                    pass

        await asyncio.gather(*(one() for _ in range(count)))


async def _planned(admin: str, proxy: str, series: str) -> None:
    """Makes a plan, and waits until it knows the frames of the series."""
    async with httpx.AsyncClient(timeout=300, trust_env=False) as client:
        wanted = {"study": "1", "series": series, "profile": "sequential"}
        made = await client.post(f"{admin}/v1/plans", json=wanted)
        assert made.status_code == 202, made.text
        await client.delete(f"{admin}{made.headers['location']}")
        await client.delete(f"{admin}/cache/studies/1")


@contextmanager
def _watched(origin: str, settings: dict[str, Any]) -> Iterator[tuple[str, str, Connection]]:
    """Runs the proxy. Yields the URLs of its listeners, and the pipe that tells of its loop."""
    first = {"url": origin, **(settings.get("origins") or [{}])[0]}
    given = {"admin": {"open": True}, "log": {"level": "error"}, **settings, "origins": [first]}
    ours, theirs = Pipe()
    with Children() as children:
        viewers, admin = listen(), listen()
        children.start("proxy", _serve_watched, given, viewers, admin, theirs)
        yield "http://{}:{}".format(*address(viewers)), "http://{}:{}".format(*address(admin)), ours


def _serve_watched(
    given: dict[str, Any], viewers: socket.socket, admin: socket.socket, told: Connection
) -> None:
    app = create_app(Settings(_env_prefix="NOTHING_", **given))
    make_ready()

    async def serve() -> None:
        _Beat(told).begin()
        await _serve(app, viewers, admin, None)

    uvloop.run(serve())


class _Beat:
    def __init__(self, told: Connection) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._schedule = Path(f"/proc/self/task/{get_native_id()}/schedstat")
        self._most = [0.0, 0.0, 0.0]
        self._at, self._ran, self._waited = self._now()

    def begin(self) -> None:
        self._loop.add_reader(self._told.fileno(), self._tell)
        self._beat()

    def _beat(self) -> None:
        now, ran, waited = self._now()
        silence = now - self._at - BEAT
        found = silence, silence - (waited - self._waited), ran - self._ran
        self._most = [max(pair) for pair in zip(self._most, found, strict=True)]
        self._at, self._ran, self._waited = now, ran, waited
        self._loop.call_later(BEAT, self._beat)

    def _now(self) -> tuple[float, float, float]:
        """The time, and for how long the thread ran and waited for a core, in seconds."""
        ran, waited, _ = self._schedule.read_bytes().split()
        return time.perf_counter(), int(ran) / 1e9, int(waited) / 1e9

    def _tell(self) -> None:
        self._told.recv()
        self._told.send(self._most)
        self._most = [0.0, 0.0, 0.0]


def _run_origin(listener: socket.socket, *packed: bool) -> None:
    bodies = {f"/studies/1/series/{name}/metadata": text for name, text in texts().items()}
    is_packed = any(packed)
    if is_packed:
        bodies = {name: gzip.compress(text, 4) for name, text in bodies.items()}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        body = bodies.get(scope["path"], b"[]")
        is_coded = is_packed and scope["path"] in bodies
        headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(b"content-encoding", b"gzip")] if is_coded else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvloop.run(Listener(answer, listener, 1).until_ended())

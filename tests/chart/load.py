"""A proxy under load, behind a shaped link. The viewers and the origin together give every panel data.

The origin fails in common ways: it is busy for a moment, closes connections, has no validators, replaces a
frame between two fetches, fails after it has sent a frame, and does not know a frame.
"""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from proxy.commands.processes import Children, address, listen
from proxy.measure.link import run_link
from proxy.measure.network import Network
from proxy.settings.reload import Reload
from tests.codestreams import htj2k, picture
from tests.house import House, house
from tests.scripted_origin import (
    HANG_UP,
    OTHER_SERIES,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
    running,
)
from tests.studies import row_of, with_study
from tests.unit.service.test_expiry import jwt

LINK = Network("", down=50e6, up=10e6, latency=0.020)
JSON, STUDY = "application/dicom+json", "9.9"
SINGLE = {"accept": "image/jphc"}
IMAGES, PICTURES = 24, 12
REFUSALS = {"gone": 404, "secret": 403}
FIRST = 65536
CROWD = 96
"""Connections that the proxy takes: more than the requests of one round need."""
WARM = {"name": "worklist", "search": {"ModalitiesInStudy": "CT"}, "budget": "1MiB"}
SETTINGS: dict[str, Any] = {
    "warm": [WARM],
    "cache": {"bytes": "4MiB"},
    "bounds": {"waiting_per_caller": 2, "connections": CROWD},
    "profiles": {"quarter": {"first": "1/4"}, "ahead": {"first": "64KiB"}},
}


def origin_in_trouble() -> ScriptedOrigin:
    """A correct origin, except for requests with an argument that names a fault."""
    pictures = [htj2k(picture(400, 400, seed=seed)) for seed in range(PICTURES)]
    bodies = [codestream(random.Random(seed).randrange(100_000, 400_000), seed) for seed in range(IMAGES)]
    origin = ScriptedOrigin().with_series(bodies).with_series(pictures, OTHER_SERIES)
    with_study(origin, {1: bodies[:4]}, STUDY)
    seen: Counter[tuple[str, str | None]] = Counter()

    def script(asked: Asked) -> Reply | None:
        if asked.path.startswith("/studies?ModalitiesInStudy"):
            return Reply(200, {"content-type": JSON}, (json.dumps([row_of(study=STUDY)]).encode(),))
        path, _, wrong = asked.path.partition("?wrong=")
        if not wrong:
            return None
        name = path + wrong.partition("&")[0]  # the proxy tries other forms of a request that failed
        seen[name, asked.range] += 1
        is_new = seen[name, asked.range] == 1
        return _reply(wrong.partition("-")[0], asked, origin.frames[path], is_new=is_new)

    origin.script = script
    return origin


def _reply(wrong: str, asked: Asked, body: bytes, *, is_new: bool) -> Reply:
    reply, is_rest = honest(body, asked), asked.range == f"bytes={FIRST}-"
    if wrong == "busy" and is_new:
        return Reply(503, {})
    if wrong == "away":
        # Its frame is stale at once, so the cached copy stands in for it from the second request on.
        stale = Reply(reply.status, reply.headers | {"cache-control": "max-age=0"}, reply.pieces)
        return stale if is_new and asked.range is not None else Reply(500, {})
    if wrong in REFUSALS:
        return Reply(REFUSALS[wrong], {})
    if wrong == "unguarded":
        return honest(body, asked, etag="")
    if wrong == "changed" and is_rest:
        return honest(body[::-1], asked, etag='"another"')
    if wrong == "hangs" and is_rest:
        size = {"content-length": str(len(body) - FIRST)}
        return Reply(206, reply.headers | size, (body[FIRST : FIRST + 9000], HANG_UP))
    return reply


async def _view(home: House, path: str, **headers: str) -> None:
    with suppress(httpx.TransportError):  # some responses are truncated
        await home.viewer.get(path, headers=SINGLE | headers)


async def _refused(home: House) -> None:
    with suppress(httpx.TransportError):  # the crowd displaces idle connections, perhaps this one just now
        await home.viewer.request("TRACE", "/studies")


async def _forward(home: House, path: str, number: int) -> None:
    """The proxy forwards metadata, which the origin has or is too busy for."""
    metadata = path.partition("/frames/")[0] + "/metadata"
    await _view(home, metadata)
    await _view(home, f"{metadata}?wrong=busy-{number}")


async def _crowd(home: House) -> None:
    """More connections than the proxy takes, all of them idle."""
    at = home.viewer.base_url
    lines = [await asyncio.open_connection(at.host, at.port) for _ in range(CROWD + 1)]
    for _, writer in lines:
        writer.close()


async def _hurry(home: House, path: str, number: int) -> None:
    """A caller asks for more at once than `SETTINGS` allow one caller."""
    async with asyncio.TaskGroup() as group:
        for each in range(3):
            who = f"Bearer hurried-{number}"
            group.create_task(_view(home, f"{path}?hurry={number}-{each}", authorization=who))


async def _ask_for_access(home: House, path: str, number: int) -> None:
    """The second caller reads what the first one fetched, so the proxy asks the origin."""
    for who in ("one", "two"):
        await _view(home, path, authorization=f"Bearer {who}-{number}")


async def _see_stale(home: House, path: str) -> None:
    """The origin fails after it has sent a frame that is stale at once."""
    await _view(home, path)  # to its end, so that the next request does not share its fetch
    for _ in range(2):
        await _view(home, path, range=f"bytes=0-{FIRST - 1}")


async def _leave(home: House, path: str) -> None:
    with suppress(httpx.TransportError):  # as in `_refused`
        async with home.viewer.stream("GET", path, headers=SINGLE) as answer:
            await anext(answer.aiter_raw())


async def _plan(home: House, paths: list[str]) -> None:
    """Fetches frames with a plan, then requests them as a viewer."""
    frames = [{"instance": path.split("/")[6]} for path in paths]
    answer = await home.ask_plan("ahead", frames=frames)
    await home.events(answer.headers["location"])
    for path in paths:
        await _view(home, path)


async def _warm(home: House) -> None:
    """Fetches a study ahead. A run that is in progress goes on."""
    await home.admin.post("/v1/warm", json={})


async def _round(home: House, number: int) -> None:
    """Events that happen at about the same time."""
    stack = [frame_of(image) for image in random.Random(number).sample(range(IMAGES), 8)]
    first = {"range": f"bytes=0-{FIRST - 1}"}
    async with asyncio.TaskGroup() as group:
        for path in stack:
            for profile in ("sequential", "ahead"):
                group.create_task(_view(home, f"{path}?n={number // 3}&profile={profile}"))
                group.create_task(_view(home, f"{path}?n={number // 3}&profile={profile}", **first))
        for wrong in ("busy", "hangs", "unguarded", "changed", *REFUSALS):
            group.create_task(_view(home, f"{stack[0]}?wrong={wrong}-{number}"))
        group.create_task(_view(home, f"{frame_of(number % PICTURES, OTHER_SERIES)}?profile=quarter"))
        shown = frame_of(number % PICTURES, OTHER_SERIES)
        group.create_task(_view(home, f"{shown}?wrong=unguarded-{number}", **first))
        group.create_task(_view(home, stack[0].replace("frames/1", "frames/0")))
        group.create_task(_view(home, f"/studies?limit={number + 2}"))
        group.create_task(_refused(home))
        group.create_task(_forward(home, stack[4], number))
        group.create_task(_ask_for_access(home, stack[2], number))
        group.create_task(_hurry(home, stack[3], number))
        group.create_task(_see_stale(home, f"{stack[4]}?wrong=away-{number}"))
        group.create_task(_crowd(home))
        group.create_task(_view(home, stack[0].partition("/instances/")[0] + "/metadata"))
        group.create_task(_leave(home, f"{stack[1]}?left={number}"))
        group.create_task(_plan(home, stack[2:4]))
        group.create_task(_warm(home))


async def rounds(home: House, file: Path) -> AsyncIterator[int]:
    """Plays one round of requests per step. Between rounds the configuration becomes valid or invalid."""
    reload = Reload(file, home.app.settings, home.app.chosen, home.app.telemetry)
    profiles = "{quarter: {first: 1/4}, ahead: {first: 64KiB}}"
    for number in itertools.count():
        name = "pacs" if number % 2 else "PACS"  # the second is not a valid name for an origin
        text = f"origins: [{{name: {name}, url: 'http://pacs'}}]\nprofiles: {profiles}\n"
        await asyncio.to_thread(file.write_text, text)
        await reload.look()
        await _round(home, number)
        yield number


@asynccontextmanager
async def behind_a_link() -> AsyncIterator[House]:
    """Runs the proxy with a shaped link in front of its origin."""
    origin = origin_in_trouble()
    # Off the loop: the constructor writes to the process that tracks resources, if that runs already.
    with await asyncio.to_thread(Children) as children:
        async with running(origin):
            port = int(origin.url.rpartition(":")[2])
            with listen() as listener:  # the child process inherits it
                await asyncio.to_thread(children.start, "link", run_link, listener, "127.0.0.1", port, LINK)
                host, port = address(listener)
            with TemporaryDirectory() as folder:
                origins = [
                    {"name": "pacs", "url": f"http://{host}:{port}", "default": True},
                    _renewed(folder),
                ]
                async with house(
                    ScriptedOrigin(), origins=origins, **_with_disk(Path(folder)), wait=False
                ) as home:
                    yield home


def _renewed(folder: str) -> dict[str, Any]:
    """An origin that nobody asks, for which the proxy has a token that ends."""
    token = Path(folder, "token")
    token.write_bytes(jwt('{"exp": 1900000000}'))
    return {"name": "cloud", "url": "http://127.0.0.1:9", "credentials": {"bearer_file": token}}


def _with_disk(folder: Path) -> dict[str, Any]:
    key = folder / "key"
    key.write_bytes(b"k" * 32)
    disk = {"path": str(folder / "disk")}
    return SETTINGS | {"access": {"key_file": str(key)}, "cache": SETTINGS["cache"] | {"disk": disk}}

"""Two workers in one event loop: connections move to the one that keeps the study, and nothing is lost."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from proxy.origin.rotation import Rotating
from proxy.service.connections import Connections
from proxy.service.listeners import open_socket
from proxy.service.rules import Rules
from proxy.service.several.channel import MOST, Channel, Ended, Posting, pair
from proxy.service.several.handing import Handing, SharedListener
from proxy.service.several.owners import Owners
from proxy.service.tls import contexts
from proxy.viewers.repeats import Repeats
from tests.house import STORY
from tests.stories.test_tls import Files

pytestmark = pytest.mark.anyio

OWNERS = Owners((0, 1))
OF = {number: next(f"1.{n}" for n in range(99) if OWNERS.of(b"1.%d" % n) == number) for number in (0, 1)}
"""A study of each worker."""
LARGE = 24_000_000
"""Bytes of an answer that the kernel's buffers do not hold."""


def head(study: str, what: str = "", method: str = "GET", more: str = "") -> bytes:
    path = f"/studies/{study}{what}" if study else "/studies?a=1"
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()


@dataclass
class Desk:
    """One worker: each answer says its number, the path, and how much body it got."""

    number: int
    listener: SharedListener
    handing: Handing
    connections: Connections
    port: int
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list[Any] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    serving: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clients.append(scope["client"])
        size, more = 0, True
        if scope["path"].endswith("/waits"):
            await self.may_end.wait()
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        said = f"{self.number} {scope['path']} {size};".encode()
        if scope["path"].endswith("/large"):
            said += bytes(LARGE)
        length = [(b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        if scope["path"].endswith("/halves"):
            await send({"type": "http.response.body", "body": said[:1], "more_body": True})
            await self.may_end.wait()
            said = said[1:]
        await send({"type": "http.response.body", "body": said})


@dataclass
class Two:
    desks: list[Desk]
    boxes: list[tuple[Channel, Channel]]

    def begin(self, number: int) -> None:
        desk = self.desks[number]
        desk.serving = asyncio.create_task(desk.listener.until_ended())

    async def end(self, number: int) -> None:
        desk = self.desks[number]
        desk.listener.end()
        assert desk.serving is not None
        await desk.serving


class NoRepeats:
    """Knows no request."""

    def name(self, asked: bytes) -> bytes:
        return asked

    def answer(self, *_: object) -> None:
        return None

    def keep(self, *_: object) -> None:
        return None


def _desk(
    name: int, number: int, boxes: list[tuple[Channel, Channel]], rules: Rules, tls: Any, most: int
) -> Desk:
    into = {other: box[0] for other, box in enumerate(boxes)}
    outcomes = list[str]()
    handing = Handing(number, Owners((0, 1)), into, outcomes.append)
    listening, connections = open_socket("127.0.0.1", 0), Connections(most)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await desk(scope, receive, send)

    repeats = cast(Repeats, NoRepeats())
    listener = SharedListener(
        handing, repeats, boxes[number][1], app, listening, STORY, rules, tls, connections
    )
    desk = Desk(name, listener, handing, connections, listening.getsockname()[1], outcomes=outcomes)
    return desk


@asynccontextmanager
async def two(
    rules: Rules = Rules(),  # noqa: B008  # a frozen value
    tls: Rotating[ssl.SSLContext] | None = None,
    most: int = 100,
    serving: tuple[int, ...] = (0, 1),
    numbers: tuple[int, int] = (0, 1),
) -> AsyncIterator[Two]:
    boxes = [pair(), pair()]
    desks = [_desk(name, number, boxes, rules, tls, most) for name, number in enumerate(numbers)]
    found = Two(desks, boxes)
    async with asyncio.timeout(STORY), AsyncExitStack() as stack:
        for number in serving:
            found.begin(number)
            stack.push_async_callback(found.end, number)
        while not all(desk.listener.started for desk in found.desks if desk.number in serving):
            await asyncio.sleep(0)
        yield found
        for desk in found.desks:
            desk.may_end.set()
    for end in (end for box in boxes for end in box):
        with suppress(Ended):  # connections that nobody took
            while message := end.receive():
                assert message.passed is not None
                message.passed.close()
        end.close()
    for desk in found.desks:
        desk.listener._listener.close()


@dataclass
class Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *pieces: bytes) -> str:
        """Sends pieces, each of which the proxy reads apart, and returns the answer."""
        for piece in pieces:
            self.writer.write(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        return await self.answer()

    async def answer(self) -> str:
        answered = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search("(?i)content-length: ([0-9]+)", answered)
        assert length, answered
        self.last = answered
        return (await self.reader.readexactly(int(length[1]))).decode().partition(";")[0]

    last: str = ""


@asynccontextmanager
async def line(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1 << 22)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


def idle_at(desk: Desk) -> int:
    return len(desk.connections._idle)


async def open_at(desk: Desk, count: int) -> None:
    while desk.connections.open != count:
        await asyncio.sleep(0)


async def test_a_request_is_answered_by_the_worker_that_keeps_its_study() -> None:
    async with two() as both, line(both.desks[0].port) as viewer:
        said = [await viewer.ask(head(study)) for study in (OF[1], OF[0], OF[0], "", OF[1], OF[1])]
        assert [words[0] for words in said] == ["1", "0", "0", "0", "1", "1"]
        assert both.desks[0].outcomes == ["moved", "moved"]
        assert both.desks[1].outcomes == ["moved"]
        await open_at(both.desks[0], 0)
        await open_at(both.desks[1], 1)
        address = viewer.writer.get_extra_info("sockname")
        assert {client for desk in both.desks for client in desk.clients} == {address}


@pytest.mark.parametrize("study", [OF[0], OF[1]])
async def test_a_head_that_comes_byte_by_byte_goes_to_the_same_worker(study: str) -> None:
    owner = "0" if study == OF[0] else "1"
    async with two() as both, line(both.desks[0].port) as viewer:
        whole = head(study)
        pieces = [whole[at : at + 1] for at in range(len(whole))]
        assert await viewer.ask(*pieces) == f"{owner} /studies/{study} 0"
        assert await viewer.ask(*pieces) == f"{owner} /studies/{study} 0"


async def test_a_body_that_is_under_way_goes_along() -> None:
    async with two() as both, line(both.desks[0].port) as viewer:
        asked = head(OF[1], method="POST", more="Content-Length: 300000\r\n")
        said = await viewer.ask(asked + bytes(1000), bytes(150_000), bytes(149_000))
        assert said == f"1 /studies/{OF[1]} 300000"
        chunked = head(OF[0], method="POST", more="Transfer-Encoding: chunked\r\n")
        said = await viewer.ask(chunked + b"5\r\nab", b"cde\r\n0\r\n", b"\r\n")
        assert said == f"0 /studies/{OF[0]} 5"


async def test_pipelined_requests_are_answered_in_order_by_the_worker_of_the_first() -> None:
    async with two() as both, line(both.desks[0].port) as viewer:
        said = [await viewer.ask(head(OF[1]) + head(OF[0]) + head("") + head(OF[1])[:9])]
        said += [await viewer.answer(), await viewer.answer()]
        assert [words[0] for words in said] == ["1"] * 3
        assert [words.split()[1] for words in said] == [f"/studies/{OF[1]}", f"/studies/{OF[0]}", "/studies"]
        assert await viewer.ask(head(OF[1])[9:]) == f"1 /studies/{OF[1]} 0"


async def test_a_connection_does_not_move_under_an_answer() -> None:
    heads = list[bytes]()
    rules = Rules(admit=lambda method, _: heads.append(method))
    async with two(rules) as both, line(both.desks[0].port) as viewer:
        viewer.writer.write(head(OF[0], "/waits"))
        while not both.desks[0].clients:
            await asyncio.sleep(0)
        viewer.writer.write(head(OF[1]))
        while len(heads) < 2:
            await asyncio.sleep(0)
        both.desks[0].may_end.set()
        assert await viewer.answer() == f"0 /studies/{OF[0]}/waits 0"
        assert await viewer.answer() == f"0 /studies/{OF[1]} 0"


async def test_an_answer_that_the_viewer_has_not_read_stays_before_the_next() -> None:
    heads = list[bytes]()
    rules = Rules(admit=lambda method, _: heads.append(method))
    async with two(rules) as both, line(both.desks[0].port) as viewer:
        viewer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        viewer.writer.write(head(OF[0], "/large"))
        while not both.desks[0].clients or not idle_at(both.desks[0]):
            await asyncio.sleep(0)
        viewer.writer.write(head(OF[1], "/large"))
        while len(heads) < 2:
            await asyncio.sleep(0)
        viewer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [(await viewer.answer()).split()[1] for _ in "12"] == [
            f"/studies/{OF[number]}/large" for number in (0, 1)
        ]


async def test_what_waits_for_a_worker_that_is_gone_is_found_by_the_next_one() -> None:
    async with two(serving=(0,)) as both, line(both.desks[0].port) as viewer:
        viewer.writer.write(head(OF[1]))
        await open_at(both.desks[0], 1)
        await open_at(both.desks[0], 0)
        both.begin(1)
        assert await viewer.answer() == f"1 /studies/{OF[1]} 0"
        await both.end(1)


async def test_a_flood_is_answered_where_it_arrives_once_the_other_worker_has_no_room() -> None:
    async with two(serving=(0,)) as both, AsyncExitStack() as stack:
        both.boxes[1][0]._end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        while "stayed" not in both.desks[0].outcomes:
            viewer = await stack.enter_async_context(line(both.desks[0].port))
            viewer.writer.write(head(OF[1]))
            for _ in range(20):
                await asyncio.sleep(0)
        assert await viewer.answer() == f"0 /studies/{OF[1]} 0"


async def test_the_other_workers_bound_of_connections_holds_too() -> None:
    async with two(most=1) as both, line(both.desks[1].port) as busy, line(both.desks[0].port) as viewer:
        busy.writer.write(head(OF[1], "/waits"))
        while not both.desks[1].clients:
            await asyncio.sleep(0)
        said = await viewer.ask(head(OF[1]))
        assert viewer.last.startswith("HTTP/1.1 503 ")
        assert "bounds.connections" in said


async def test_a_bad_or_endless_head_is_refused_as_in_a_single_process() -> None:
    small = Rules(url_bytes=1024, header_bytes=4096)
    for bad, status in {
        b"GET /studies/" + b"1" * 5000: "414",
        b"\x16\x03\x01\x02\n": "400",
        head(OF[1], more="X-Long: " + "a" * 9000 + "\r\n"): "431",
        b"TRACE /studies/%s HTTP/1.1\r\nHost: a\r\n\r\n" % OF[1].encode(): "405",
    }.items():
        async with two(small) as both, line(both.desks[0].port) as viewer:
            viewer.writer.write(bad)
            answered = await viewer.reader.read()
            assert answered.startswith(b"HTTP/1.1 " + status.encode()), (bad[:30], answered)


async def test_a_head_that_stops_in_the_middle_has_its_deadline() -> None:
    async with two(Rules(header_seconds=0.05)) as both:
        for begun in (b"GET /stud", head(OF[1])[:-4]):
            async with line(both.desks[0].port) as viewer:
                viewer.writer.write(begun)
                assert (await viewer.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_connections_move_on_if_another_process_takes_the_place_of_theirs() -> None:
    async with AsyncExitStack() as stack:
        both = await stack.enter_async_context(two(serving=(0,), numbers=(0, 0)))
        old = both.desks[0]
        idle, begun, unanswered, halfway = [await stack.enter_async_context(line(old.port)) for _ in range(4)]
        assert await idle.ask(head(OF[0])) == f"0 /studies/{OF[0]} 0"
        begun.writer.write(head(OF[0])[:-4])
        unanswered.writer.write(head(OF[0], "/waits"))
        halfway.writer.write(head(OF[0], "/halves"))
        assert await halfway.reader.readuntil(b"\r\n\r\n0") != b""
        while len(old.clients) < 3:
            await asyncio.sleep(0)
        old.handing.is_leaving = True
        old.listener.end()
        while idle_at(old):
            await asyncio.sleep(0)
        both.begin(1)
        assert await idle.ask(head(OF[0])) == f"1 /studies/{OF[0]} 0"
        assert await begun.ask(head(OF[0])[-4:]) == f"1 /studies/{OF[0]} 0"
        old.may_end.set()
        assert await unanswered.answer() == f"0 /studies/{OF[0]}/waits 0"
        assert "connection: close" in unanswered.last.lower()
        await halfway.reader.readexactly(len(f" /studies/{OF[0]}/halves 0;"))
        assert await halfway.ask(head(OF[0])) == f"1 /studies/{OF[0]} 0"
        for each in (idle, begun, unanswered, halfway):
            each.writer.close()
        await both.end(1)


async def test_with_tls_the_bytes_are_relayed(tmp_path: Path) -> None:
    files = Files(tmp_path)
    named = files.certify("proxy")

    pem, key = named["certificate_file"], named["key_file"]
    tls = await asyncio.to_thread(contexts, pem, key, None, is_required=False)
    trusting = await asyncio.to_thread(ssl.create_default_context, cafile=files.ca_file)
    async with two(tls=tls) as both:
        async with line(both.desks[0].port, trusting) as viewer:
            order = (OF[1], OF[1], OF[0], "", OF[1])
            said = [await viewer.ask(head(study)) for study in order]
            assert [words[0] for words in said] == ["1", "1", "0", "0", "1"]
            assert (await viewer.ask(head(OF[1], "/large"))) == f"1 /studies/{OF[1]}/large 0"
            asked = head(OF[1], method="POST", more="Content-Length: 3000000\r\n")
            assert await viewer.ask(asked, bytes(3_000_000)) == f"1 /studies/{OF[1]} 3000000"
            address = viewer.writer.get_extra_info("sockname")
            assert {client for desk in both.desks for client in desk.clients} == {address}
            viewer.writer.write(head(OF[1], "/waits"))
        await open_at(both.desks[0], 0)  # the viewer has left, which both notice
        await open_at(both.desks[1], 0)


def test_a_channel_keeps_messages_apart_and_never_waits() -> None:
    one, other = pair()
    assert one.send({"a": 1}, b"x\ny")
    assert one.send({})
    first, second = other.receive(), other.receive()
    assert first is not None
    assert (first.said, first.content, first.passed) == ({"a": 1}, b"x\ny", None)
    assert second is not None
    assert (second.said, second.content) == ({}, b"")
    assert other.receive() is None
    assert not one.send({}, bytes(MOST))
    while one.send({}, bytes(1000)):
        pass
    assert other.receive() is not None
    one.close()
    with pytest.raises(Ended):
        while other.receive() is not None:
            pass
    assert not other.send({})
    other.close()


async def test_orders_wait_for_room_and_arrive_in_order() -> None:
    one, other = pair()
    posting = Posting(one)
    for number in range(10_000):
        posting.post({"number": number})
    assert len(posting) > 0
    told = list[int]()
    while len(told) < 10_000:
        message = other.receive()
        if message is None:
            await asyncio.sleep(0)
        else:
            told.append(message.said["number"])
    assert told == list(range(10_000))
    assert len(posting) == 0
    other.close()
    for _ in range(3):
        posting.post({})
    assert len(posting) == 0  # nobody is there
    one.close()

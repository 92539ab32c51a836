import asyncio
import hashlib
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from proxy.commands.processes import address, listen
from proxy.measure.link import BUFFER, Line, relay, run_link
from proxy.measure.network import Network
from proxy.measure.schedule import packet_size
from tests.streams import Handler, streams

FAST = Network("fast", down=1e9, up=1e9, latency=0.002)
PATIENCE = 240.0


@asynccontextmanager
async def linked(handler: Handler, network: Network = FAST) -> AsyncIterator[tuple[str, int]]:
    """The address of a link to a given server."""
    near, far = listen(), listen()
    async with streams(handler, on=far):
        relaying = asyncio.ensure_future(relay(near, *address(far), network))
        try:
            async with asyncio.timeout(PATIENCE):
                yield address(near)
        finally:
            relaying.cancel()
            with suppress(asyncio.CancelledError):
                await relaying


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@pytest.mark.anyio
async def test_bytes_come_back_as_they_were_on_several_connections() -> None:
    async def exchange(place: tuple[str, int], body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*place)

        async def send() -> None:
            writer.write(body)
            await writer.drain()
            writer.write_eof()

        _, back = await asyncio.gather(send(), reader.read())
        writer.close()
        return back

    bodies = [os.urandom(size) for size in (0, 1, 65_536, 1_000_003)]
    async with linked(echo) as place:
        assert await asyncio.gather(*(exchange(place, body) for body in bodies)) == bodies


@pytest.mark.anyio
async def test_who_has_ended_still_hears_the_answer() -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()
        writer.write(b"heard " + question)
        writer.close()

    async with linked(answer_at_the_end) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"this")
        writer.write_eof()
        assert await reader.read() == b"heard this"
        writer.close()


@pytest.mark.anyio
async def test_a_viewers_reset_reaches_the_origin() -> None:
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def until_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        try:
            await reader.read()
            seen.set_result("ended")
        except ConnectionResetError:
            seen.set_result("reset")
        writer.close()

    async with linked(until_reset) as place:
        reader, writer = await asyncio.open_connection(*place)
        assert await reader.readexactly(5) == b"hello"
        reset(writer)
        assert await seen == "reset"


@pytest.mark.anyio
async def test_an_origins_reset_reaches_the_viewer() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        reset(writer)

    async with linked(hang_up) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"?")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.anyio
async def test_an_origin_that_is_not_there_refuses_through_the_link() -> None:
    near, far = listen(), listen()
    place = address(far)
    far.close()
    relaying = asyncio.ensure_future(relay(near, *place, FAST))
    reader, writer = await asyncio.open_connection(*address(near))
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    relaying.cancel()
    with suppress(asyncio.CancelledError):
        await relaying


@pytest.mark.anyio
async def test_who_does_not_read_holds_back_only_its_own_connection() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        if await reader.readexactly(1) == b"s":
            writer.write(b"small")
        else:
            writer.transport.set_write_buffer_limits(0)
            with suppress(ConnectionError):
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()
                    sent += 65536
        writer.close()

    async def small(place: tuple[str, int]) -> bytes:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"s")
        answer = await reader.read()
        writer.close()
        return answer

    async with linked(pour) as place:
        _, lazy = await asyncio.open_connection(*place, limit=1024)
        lazy.write(b"l")
        before = -1
        while before != sent or not sent:  # until no more bytes go out while others have their answers
            before = sent
            for _ in range(20):
                assert await small(place) == b"small"
            assert sent <= 64 * BUFFER  # this is more than the kernel may buffer for the viewer
        reset(lazy)


@pytest.mark.anyio
async def test_a_new_connection_costs_a_round_trip_and_bytes_the_rate() -> None:
    network = Network("slow", down=8e6, up=8e6, latency=0.050)
    body = os.urandom(200_000)

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(body)
        writer.close()

    async with linked(give, network) as place:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"?")
        got = await reader.read()
        took = time.monotonic() - began
        writer.close()
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()
    assert took >= network.latency + network.limit(len(body))


def test_its_process_ends_quietly_when_it_is_told_to() -> None:
    listener, far = listen(), listen()
    process = multiprocessing.get_context("spawn").Process(
        target=run_link, args=(listener, *address(far), FAST)
    )
    process.start()
    with socket.create_connection(address(listener)), far:
        far.settimeout(PATIENCE)
        far.accept()[0].close()  # the link runs, and has a connection
        process.terminate()
        process.join(PATIENCE)
    listener.close()
    assert process.exitcode == 0


def reset(writer: asyncio.StreamWriter) -> None:
    lingering = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    writer.transport.abort()


@pytest.mark.anyio
async def test_a_line_takes_another_network_while_it_relays() -> None:
    """Bytes that a line of one bit per second would never deliver arrive once its network has changed."""
    near, far = listen(), listen()
    line = Line(Network("stopped", down=1.0, up=1e9, latency=0.0))
    async with streams(echo, on=far):
        relaying = asyncio.ensure_future(line.relay(near, *address(far)))
        try:
            async with asyncio.timeout(PATIENCE):
                line.change(FAST)
                reader, writer = await asyncio.open_connection(*address(near))
                writer.write(b"some bytes")
                writer.write_eof()
                assert await reader.read() == b"some bytes"
                writer.close()
            assert (line.latency, line.down.packet) == (FAST.latency, packet_size(FAST.down))
        finally:
            relaying.cancel()
            with suppress(asyncio.CancelledError):
                await relaying

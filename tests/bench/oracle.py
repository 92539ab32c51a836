"""Can a caller whom the origin refuses tell a frame that the proxy holds from one that it does not?

Each request is of a new caller, over a real socket, and held frames and others are asked for in random order.
A rank test compares the times.
"""

import asyncio
import random
import re
import socket
import time
from math import erfc, sqrt
from statistics import median
from urllib.parse import urlsplit

import uvloop
from starlette.types import Receive, Scope, Send

from proxy.commands.processes import Children
from proxy.service.listeners import Listener
from tests.bench.shared import Counting, frame_path, print_row, proxy, start

PAIRS = 1000
"""Pairs of requests."""
WARM = 50
"""Pairs before those that count."""
SIZE = 300_000
"""Bytes of a frame."""
READER = "Bearer reader"
WIDTHS = (12, 14, 14, 10, 12)


class Refusing(Counting):
    """An origin that lets one caller read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "/frames/" not in scope["path"] or (b"authorization", READER.encode()) in scope["headers"]:
            await super().__call__(scope, receive, send)
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def run_refusing(listener: socket.socket) -> None:
    uvloop.run(Listener(Refusing(), listener, 1).until_ended())


class Client:
    """One connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    async def ask(self, number: int, who: str, span: str) -> tuple[int, float]:
        """The status of the answer, and the microseconds until it was there."""
        ranged = f"Range: {span}\r\n" if span else ""
        path = frame_path("1.1", number, SIZE)
        head = f"GET /{path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: image/jphc\r\n{ranged}"
        began = time.perf_counter()
        self._writer.write(f"{head}Authorization: {who}\r\n\r\n".encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", answer)
        assert length, answer
        await self._reader.readexactly(int(length[1]))
        return int(answer.split(b" ", 2)[1]), (time.perf_counter() - began) * 1e6


def run() -> None:
    print(f"{PAIRS:,} pairs of refused requests: a frame that is held, and one that is not.\nMicroseconds.\n")
    print_row(("request", "held", "not held", "p", "can be told"), WIDTHS)
    with Children() as children, proxy(start(children, "origin", run_refusing)) as url:
        for name, span in (("whole", ""), ("first 64 KiB", "bytes=0-65535")):
            held, other = asyncio.run(_times(url, span))
            p = rank_test(held, other)
            told = "yes" if p < 0.001 else "no"
            print_row((name, f"{median(held):,.0f}", f"{median(other):,.0f}", f"{p:.3f}", told), WIDTHS)


async def _times(url: str, span: str) -> tuple[list[float], list[float]]:
    parts = urlsplit(url)
    client = Client(*await asyncio.open_connection(parts.hostname, parts.port), parts.netloc)
    assert (await client.ask(0, READER, ""))[0] == 200
    chance = random.Random(span)
    found: tuple[list[float], list[float]] = ([], [])
    for pair in range(WARM + PAIRS):
        for number in chance.sample((0, 1), 2):
            status, took = await client.ask(number, f"Bearer {span}{pair}.{number}", span)
            assert status == 403
            if pair >= WARM:
                found[number].append(took)
    return found


def rank_test(one: list[float], other: list[float]) -> float:
    """The probability of such ranks if both are alike (Mann and Whitney), by the normal approximation.

    >>> rank_test([1, 3, 5, 7], [2, 4, 6, 8]) > 0.5, rank_test(list(range(50)), list(range(60, 110))) < 1e-9
    (True, True)
    """
    ranked = sorted([(each, True) for each in one] + [(each, False) for each in other])
    ranks = sum(rank for rank, (_, is_one) in enumerate(ranked, 1) if is_one)
    n, m = len(one), len(other)
    u = ranks - n * (n + 1) / 2
    return erfc(abs(u - n * m / 2) / sqrt(n * m * (n + m + 1) / 12) / sqrt(2))

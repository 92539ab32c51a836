"""A viewer that takes less than a least rate is slow; one that takes it, or has nothing to take, is not."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.service.drain import Drain, acknowledged

pytestmark = pytest.mark.anyio

PERIOD = 3600.0
"""Seconds that no test takes. The tests look by themselves."""


class Transport:
    """A transport and its socket, with as much to take and as much taken as a test says."""

    def __init__(self) -> None:
        self.left = 1_000_000
        self.taken: int | None = 0

    def get_write_buffer_size(self) -> int:
        return self.left

    def get_extra_info(self, name: str) -> "Transport":
        assert name == "socket"
        return self

    def getsockopt(self, *_: int) -> bytes:
        if self.taken is None:
            raise OSError
        return struct.pack("=120xQ", self.taken)


@contextmanager
def watched(rate: int = 10) -> Iterator[tuple[Transport, Drain, list[bool]]]:
    transport, slow = Transport(), list[bool]()
    drain = Drain(transport, rate, PERIOD, lambda: slow.append(True))  # type: ignore[arg-type]  # a fake
    drain.watch()
    yield transport, drain, slow
    drain.rest()


@pytest.mark.parametrize(
    ("taken", "left", "is_slow"),
    [(0, 1, True), (35_999, 1, True), (36_000, 1, False), (0, 0, False), (None, 1, False)],
)
async def test_one_look(taken: int | None, left: int, is_slow: bool) -> None:
    with watched() as (transport, drain, slow):
        transport.taken, transport.left = taken, left
        drain._look()
        assert bool(slow) == is_slow


async def test_each_period_counts_anew() -> None:
    with watched() as (transport, drain, slow):
        transport.taken = 1_000_000
        drain._look()
        drain._look()
        assert slow == [True]


async def test_no_rate_is_any() -> None:
    with watched(rate=0) as (_, drain, _):
        assert drain._timer is None


async def test_tcp_counts_what_the_other_side_has() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as near,
        listening.accept()[0] as far,
    ):
        before = acknowledged(near) or 0
        near.sendall(b"x" * 1000)
        assert len(far.recv(1000, socket.MSG_WAITALL)) == 1000
        while (count := acknowledged(near)) == before:
            pass  # the acknowledgement is on its way
        assert count in (before + 1000, None)

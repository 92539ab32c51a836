"""A burst of connections is accepted in few turns of the loop, and a lack of descriptors does not spin it."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import ECONNABORTED, EMFILE

import pytest

from proxy.service.accepting import AT_ONCE, Accepting
from proxy.service.connections import Connections, Place

pytestmark = pytest.mark.anyio


class Listening(socket.socket):
    """A listening socket that notes the turn of each try to accept, and fails as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.listen(1024)
        self.setblocking(False)
        self.turn = 0
        self.tries: list[int] = []
        self.failures: list[int] = []
        self.made: list[asyncio.Protocol] = []

    @property
    def queued(self) -> int:
        """Connections that can be accepted. Linux tells their number in place of `tcpi_unacked`."""
        told = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
        return int.from_bytes(told[24:], sys.byteorder)

    def accept(self) -> tuple[socket.socket, object]:
        self.tries.append(self.turn)
        if self.failures:
            raise OSError(self.failures.pop(), "as the test says")
        return super().accept()

    def protocol(self, _: Place) -> asyncio.Protocol:
        self.made.append(asyncio.Protocol())
        return self.made[-1]

    async def turns(self, number: int) -> None:
        for _ in range(number):
            self.turn += 1
            await asyncio.sleep(0)


@contextmanager
def connected(number: int) -> Iterator[Listening]:
    """A listener whose queue holds this many connections."""
    with ExitStack() as stack:
        listening = stack.enter_context(Listening())
        for _ in range(number):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        while listening.queued < number:
            pass  # the last step of a handshake is on its way
        yield listening


async def test_many_connections_are_accepted_at_each_turn() -> None:
    with connected(2 * AT_ONCE) as listening:
        accepting = Accepting(listening, listening.protocol, Connections())
        while len(listening.made) < 2 * AT_ONCE:
            await listening.turns(1)
        by_turn = [listening.tries.count(turn) for turn in dict.fromkeys(listening.tries)]
        assert by_turn[:2] == [AT_ONCE, AT_ONCE]
        accepting.close()


async def test_without_descriptors_the_listener_rests() -> None:
    with connected(1) as listening:
        listening.failures = [EMFILE]
        accepting = Accepting(listening, listening.protocol, Connections(), pause=3600)
        await listening.turns(100)
        assert len(listening.tries) == 1
        accepting.close()


async def test_after_its_rest_the_listener_accepts_again() -> None:
    with connected(1) as listening:
        listening.failures = [EMFILE, EMFILE]
        accepting = Accepting(listening, listening.protocol, Connections(), pause=0)
        while not listening.made:
            await listening.turns(1)
        accepting.close()


async def test_a_connection_that_failed_is_passed_over() -> None:
    with connected(1) as listening:
        listening.failures = [ECONNABORTED]
        accepting = Accepting(listening, listening.protocol, Connections())
        while not listening.made:
            await listening.turns(1)
        accepting.close()


async def test_each_accepted_connection_has_its_protocol_when_it_is_closed() -> None:
    with connected(AT_ONCE) as listening:
        accepting = Accepting(listening, listening.protocol, Connections())
        while not listening.tries:
            await listening.turns(1)
        accepting.close()
        await accepting.wait_closed()
        assert len(listening.made) == AT_ONCE

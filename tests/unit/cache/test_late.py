"""What a shared server costs a viewer at most, in virtual time."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from valkey.exceptions import ResponseError

from proxy.cache.behind import Behind
from proxy.cache.patience import Patience
from proxy.cache.sealed import Names
from proxy.cache.server import Address, Command, Login, Server
from proxy.cache.shared import Shared
from proxy.telemetry.telemetry import Telemetry
from tests.simulation.clock import run
from tests.unit.cache.test_tier import KEY, SECRET

FIRST, WAIT = 0.008, 0.05
OTHER = b"another replica"


class FakeServer(Server):
    """A server with a delay for each round trip. Another replica has each lease, unless a script answers."""

    def __init__(self, delay: float, says: Callable[[Command], object] | None = None) -> None:
        super().__init__(Address.of("valkey://127.0.0.1:1"), Login())
        self.delay = delay
        self.values: dict[object, object] = {}
        self.trips = 0
        self._says = says or self._kept

    async def do(self, *commands: Command) -> list[Any]:
        self.trips += 1
        await asyncio.sleep(self.delay)
        return [self._says(command) for command in commands]

    async def run(self, script: str, key: bytes, *given: bytes | int) -> object:
        return await self.do((script, key, *given))

    def _kept(self, command: Command) -> object:
        if command[0] == "GET":
            return self.values.get(command[1])
        if command[0] == "SET":
            self.values.setdefault(command[1], OTHER if b"lease" in bytes(command[1]) else command[2])  # type: ignore[arg-type]
        return True


class Mine(FakeServer):
    """A server that gives each lease."""

    def _kept(self, command: Command) -> object:
        return self.values.setdefault(*command[1:3]) if command[0] == "SET" else super()._kept(command)


def full(command: Command) -> object:
    """A server that takes no values."""
    return ResponseError("OOM command not allowed") if command[0] == "SET" else None


def looked_up(server: FakeServer) -> tuple[float, str]:
    """Seconds that a look-up takes, and its outcome. The tier has no time to itself but the server's."""

    telemetry = Telemetry()
    tier = Shared(server, Names(SECRET), SECRET, 1000, Patience(FIRST, WAIT))
    behind = Behind(tier, lambda _: None, telemetry)

    async def look() -> float:
        began = asyncio.get_running_loop().time()
        assert await behind.first(KEY) is None
        took = asyncio.get_running_loop().time() - began
        await server.aclose()
        return took

    return run(look()), outcome_in(telemetry)


def outcome_in(telemetry: Telemetry) -> str:
    (outcome,) = (
        sample.labels["outcome"]
        for family in telemetry.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "progressive_proxy_tier_lookups_total" and sample.value
    )
    return str(outcome)


@pytest.mark.parametrize("delay", [0.005, 0.007, 0.0081, 0.05, inf])
def test_a_slow_server_costs_its_budget_once_however_often_it_is_asked(delay: float) -> None:
    took, outcome = looked_up(Mine(delay))
    assert took == pytest.approx(FIRST)
    assert outcome == "late"


def test_a_server_in_time_is_asked_twice_for_what_it_lacks() -> None:
    server = Mine(0.003)
    took, outcome = looked_up(server)
    assert took == pytest.approx(0.006)
    assert (outcome, server.trips) == ("miss", 2)


def test_a_viewer_waits_for_another_replica_and_no_longer() -> None:
    took, outcome = looked_up(FakeServer(0.003))
    assert WAIT <= took <= WAIT + FIRST
    assert outcome == "miss"


def test_a_server_that_becomes_slow_while_another_replica_fetches_costs_its_budget_once() -> None:
    class Slowing(FakeServer):
        async def do(self, *commands: Command) -> list[Any]:
            self.delay = inf if self.trips >= 4 else 0.003
            return await super().do(*commands)

    took, outcome = looked_up(Slowing(0.003))
    assert took == pytest.approx(WAIT + FIRST)
    assert outcome == "late"


def test_a_full_server_is_asked_twice_and_not_waited_for() -> None:
    server = FakeServer(0.001, full)
    took, outcome = looked_up(server)
    assert took == pytest.approx(0.002)
    assert (outcome, server.trips) == ("miss", 2)


@pytest.mark.parametrize("word", [7, "OK", [b"x"], b"x" * 64, ResponseError("LOADING")], ids=repr)
def test_garbage_costs_no_more_than_an_answer(word: object) -> None:
    took, outcome = looked_up(FakeServer(0.001, lambda _: word))
    assert took <= FIRST
    assert outcome in ("failed", "wrong", "miss")

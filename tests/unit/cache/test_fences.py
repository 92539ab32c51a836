"""Leases at a shared server, in virtual time: one replica fetches a frame, and no two do."""

import asyncio
from dataclasses import replace
from typing import Any

from proxy.cache.fences import LEASE, Fences
from proxy.cache.places import Keys
from proxy.cache.sealed import Names
from proxy.cache.server import Address, Command, Login, Server
from tests.simulation.clock import run
from tests.unit.cache.test_tier import KEY, SECRET

DELAY = 0.01
AT = Keys(Names(SECRET), b"pp").of(KEY)


class SlowServer(Server):
    """A server that does leases. Each command reaches it after `DELAY`, and its answer needs as long."""

    def __init__(self) -> None:
        super().__init__(Address.of("valkey://127.0.0.1:1"), Login())
        self.values: dict[object, tuple[object, float]] = {}

    async def do(self, *commands: Command) -> list[Any]:
        await asyncio.sleep(DELAY)
        answers = [self._done(*command) for command in commands]
        await asyncio.sleep(DELAY)
        return answers

    async def run(self, script: str, key: bytes, *given: bytes | int) -> object:
        return (await self.do(("EVAL", script, 1, key, *given)))[0]

    def _done(self, word: object, key: object, *given: object) -> object:
        now = asyncio.get_running_loop().time()
        self.values = {key: (value, until) for key, (value, until) in self.values.items() if now < until}
        if word == "GET":
            return self.values.get(key, (None,))[0]
        if word == "SET":
            value, *options = given
            if "NX" in options and key in self.values:
                return None
            self.values[key] = value, now + (LEASE if "PX" in options else 1000)
            return True
        _, place, me, *time = given
        if self.values.get(place, (None,))[0] != me:
            return 0
        if time:
            self.values[place] = me, now + LEASE
        else:
            del self.values[place]
        return 1


def replicas() -> tuple[Fences, Fences]:
    server = SlowServer()
    return (
        Fences(server, 1000, asyncio.get_running_loop().time),
        Fences(server, 1000, asyncio.get_running_loop().time),
    )


def test_a_lease_that_is_being_given_back_is_not_mine() -> None:
    async def story() -> None:
        one, two = replicas()
        assert (await one.take(KEY, AT)).is_mine
        await one.renew(lambda _: True)  # the frame comes, and then it does not come any more
        again, _ = await asyncio.gather(one.take(KEY, AT), one.renew(lambda _: False))
        assert not (again.is_mine and (await two.take(KEY, AT)).is_mine), "both would fetch"
        assert (await two.take(KEY, AT)).is_mine or (await one.take(KEY, AT)).is_mine, "one of them may"

    run(story())


def test_a_lease_that_is_taken_again_has_time_to_begin() -> None:
    async def story() -> None:
        one, two = replicas()
        await one.take(KEY, AT)
        await one.renew(lambda _: True)
        await one.take(KEY, AT)  # a viewer asks again, and the origin is asked about it first
        await one.renew(lambda _: False)
        assert not (await two.take(KEY, AT)).is_mine

    run(story())


def test_a_lease_lasts_as_long_as_the_frame_is_coming_and_ends_with_its_replica() -> None:
    async def story() -> None:
        one, two = replicas()
        await one.take(KEY, AT)
        for _ in range(10):
            await asyncio.sleep(LEASE / 2)
            await one.renew(lambda _: True)
            assert not (await two.take(KEY, AT)).is_mine
        await asyncio.sleep(LEASE - 4 * DELAY)
        assert not (await two.take(KEY, AT)).is_mine
        await asyncio.sleep(4 * DELAY)
        assert (await two.take(KEY, AT)).is_mine

    run(story())


def test_many_leases_are_renewed_before_the_first_one_ends() -> None:
    async def story() -> None:
        one, two = replicas()
        keys = Keys(Names(SECRET), b"pp")
        frames = [replace(KEY, resource=replace(KEY.resource, frame_number=n)) for n in range(1, 301)]
        await asyncio.gather(*(one.take(key, keys.of(key)) for key in frames))
        for _ in range(8):
            await asyncio.sleep(LEASE / 4)
            await one.renew(lambda _: True)
        taken = await asyncio.gather(*(two.take(key, keys.of(key)) for key in frames))
        assert not any(each.is_mine for each in taken)

    run(story())

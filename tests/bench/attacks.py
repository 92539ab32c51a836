"""Attacks on a running proxy, one after another: what others notice meanwhile, for `docs/security.md`."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import httpx
import uvloop

from proxy.commands.processes import Children
from tests.bench.attacked import BOMB, DRIP, LARGE, MANY, run_attacked
from tests.bench.livez import p99_and_most, probed
from tests.bench.memory import resident
from tests.bench.program import Program, program
from tests.bench.results import save
from tests.bench.shared import frame_path, print_row, start

SECONDS = 8.0
"""Time of each attack."""
BUDGET = 256 << 20
"""Bytes of the cache."""
SMALL, LONG = 16_384, 10_000_000
"""Bytes of the frames that are asked for."""
TOKEN = "Bearer good, and somebody else's"
"""The token of a person who reads meanwhile. This person's frame is in the cache."""
OPERATOR = "the-operators-token"
"""The token of the admin listener, which those who ask for plans have."""
WIDTHS = (45, 8, 6, 7, 7, 7)


@dataclass
class Attacker:
    """Sends requests to a proxy until the time is over, and counts what is answered."""

    proxy: Program
    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_over(self) -> bool:
        """True once the time of the attack is over."""
        return time.monotonic() > self.until

    async def ask(
        self,
        path: str,
        token: str,
        *,
        admin: bool = False,
        method: str = "GET",
        body: bytes = b"",
        rate: int = 0,
    ) -> None:
        """One request over a connection of its own. `rate` is the bytes a second that are read; 0 is all."""
        async with self.connected(admin=admin) as (reader, writer):
            head = f"{method} /{path} HTTP/1.1\r\nHost: {self._at(admin)}\r\nAccept: image/jphc\r\n"
            head += f"Authorization: {token}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            head += f"Proxy-Authorization: Bearer {OPERATOR}\r\n" * admin
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status = (await reader.readline()).split()
            self.counts[status[1].decode() if len(status) > 1 else "closed"] += 1
            while not self.is_over and await reader.read(rate or 65_536):
                await asyncio.sleep(1 if rate else 0)

    @asynccontextmanager
    async def connected(
        self, *, admin: bool = False
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection, which is dropped when the time is over. Raises `TimeoutError`, `OSError`."""
        host, _, port = self._at(admin).rpartition(":")
        async with asyncio.timeout(max(0.0, self.until - time.monotonic())):
            reader, writer = await asyncio.open_connection(host, int(port), limit=65_536)
            try:
                yield reader, writer
            finally:
                writer.transport.abort()

    def _at(self, admin: bool) -> str:
        return urlsplit(self.proxy.admin if admin else self.proxy.url).netloc

    async def together(self, number: int, one: Callable[[int], Awaitable[None]]) -> None:
        """So many at once, again and again."""

        async def again(place: int) -> None:
            while not self.is_over:
                with suppress(OSError, TimeoutError):
                    await one(place)

        await asyncio.gather(*(again(place) for place in range(number)))


Attack = Callable[[Attacker], Awaitable[None]]


async def _slow_heads(attacker: Attacker) -> None:
    async def one(_: int) -> None:
        async with attacker.connected() as (reader, writer):
            attacker.counts["connections"] += 1
            ended = asyncio.create_task(reader.read())
            for byte in b"GET /studies HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 1000:
                writer.write(bytes([byte]))
                if (await asyncio.wait({ended}, timeout=1))[0]:
                    break

    await attacker.together(2_000, one)


async def _slow_readers(attacker: Attacker) -> None:
    await attacker.together(
        300, lambda place: attacker.ask(_frame(f"1.{place}", LONG), _good(1), rate=20_000)
    )


async def _many_frames(attacker: Attacker) -> None:
    numbers = iter(range(10**6))
    await attacker.together(500, lambda _: attacker.ask(_frame(f"2.{next(numbers)}", 1_000_000), _good(1)))


async def _guesses(attacker: Attacker) -> None:
    numbers = iter(range(10**6))
    await attacker.together(64, lambda _: attacker.ask(_frame("1", SMALL), f"Bearer guess {next(numbers)}"))


async def _drips(attacker: Attacker) -> None:
    async def one(place: int) -> None:
        await attacker.ask(f"studies/{DRIP}/series/1/instances/1.{place}.1/frames/1", _good(1))

    await attacker.together(200, one)


async def _variants(attacker: Attacker) -> None:
    numbers = iter(range(10**6))
    await attacker.together(64, lambda _: attacker.ask(f"{_frame('3', LONG)}?x={next(numbers)}", _good(1)))


async def _metadata(attacker: Attacker, study: str, at_once: int) -> None:
    numbers = iter(range(10**6))

    async def one(_: int) -> None:
        body = f'{{"study": "{study}", "series": "1.{next(numbers)}"}}'.encode()
        await attacker.ask("plans", _good(1), admin=True, method="POST", body=body)

    await attacker.together(at_once, one)


async def _bodies(attacker: Attacker) -> None:
    async def one(_: int) -> None:
        async with attacker.connected(admin=True) as (reader, writer):
            writer.write(b"POST /v1/plans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
            ended = asyncio.create_task(reader.readline())
            while not ended.done():
                writer.write(b" " * 65_536)
                await writer.drain()
                await asyncio.sleep(0)
            attacker.counts[(ended.result().split() or [b"closed"] * 2)[1].decode()] += 1

    await attacker.together(50, one)


ATTACKS: dict[str, Attack] = {
    "2,000 connections, a byte of a head a second": _slow_heads,
    "300 readers at 20 kB/s, 10 MB each": _slow_readers,
    "one caller, 500 frames of 1 MB at once": _many_frames,
    "64 callers guess tokens": _guesses,
    "an origin sends 1 byte/s for 200 frames": _drips,
    "10 MB frames as ?x=1, ?x=2, …; 64 at once": _variants,
    "8 plans on metadata: nested gzip, 500 MB": lambda attacker: _metadata(attacker, BOMB, 8),
    "4 plans on metadata of 100 MB": lambda attacker: _metadata(attacker, LARGE, 4),
    "8 plans on an instance of 99,999 frames": lambda attacker: _metadata(attacker, MANY, 8),
    "50 bodies of 100 MB to the admin listener": _bodies,
}


def run() -> None:
    """A new proxy for each attack."""
    print(
        f"{SECONDS:g} seconds of each attack. Meanwhile somebody else reads a frame of 16 KiB that is held.\n"
    )
    print_row(("", "answers", "MiB", "/livez", "hit", "max"), WIDTHS)
    rows = []
    for name, attack in ATTACKS.items():
        answers, figures = _attacked(attack)
        rows.append({"attack": name, "answers": dict(answers)} | figures)
        shown = (figures[key] for key in ("most_mib", "livez_p99_ms", "hit_p99_ms", "hit_max_ms"))
        print_row((name, f"{answers.total():,}", *map(str, shown)), WIDTHS)
        print("  " + ", ".join(f"{said}: {count:,}" for said, count in sorted(answers.items())), flush=True)
    save("attacks", "python -m tests.bench attacks", rows)


def _attacked(attack: Attack) -> tuple[Counter[str], dict[str, int]]:
    """The answers that the attacker got; milliseconds that others waited, and MiB."""
    with Children() as children, NamedTemporaryFile("w") as token:
        token.write(OPERATOR)
        token.flush()
        origins = [{"url": start(children, "origin", run_attacked)}]
        config = {"origins": origins, "cache": {"bytes": BUDGET}, "admin": {"token_file": token.name}}
        with program(config) as proxy:
            held, who = _frame("1", SMALL), {"authorization": TOKEN, "accept": "image/jphc"}
            assert httpx.get(f"{proxy.url}/{held}", headers=who, trust_env=False).status_code == 200
            lines = "".join(f"{name}: {value}\r\n" for name, value in who.items())
            before = resident(proxy.process)
            with probed(proxy.admin) as alive, probed(proxy.url, held, lines) as hits:
                answers, most = uvloop.run(_carried_out(attack, proxy))
    figures = {"before_mib": before, "most_mib": most}
    for name, seen in (("livez", alive), ("hit", hits)):
        p99, longest = p99_and_most(seen)
        figures |= {f"{name}_p99_ms": round(p99), f"{name}_max_ms": round(longest)}
    return answers, figures


async def _carried_out(attack: Attack, proxy: Program) -> tuple[Counter[str], int]:
    """The answers, and the most MiB that the proxy had meanwhile."""
    attacker, most = Attacker(proxy), 0
    task = asyncio.ensure_future(attack(attacker))
    while not task.done():
        most = max(most, resident(proxy.process))
        await asyncio.sleep(0.05)
    await task
    return attacker.counts, most


def _frame(study: str, size: int) -> str:
    return frame_path(study, 1, size)


def _good(number: int) -> str:
    return f"Bearer good {number}"

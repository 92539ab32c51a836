"""Three people with tokens of their own on one volume, beside the same with one copy for all, unasked."""

import asyncio
import re
import time
from contextlib import ExitStack
from itertools import count

import httpx
import uvloop

from proxy.commands.processes import Children
from proxy.measure.server import Server
from tests.bench.program import Program, program
from tests.bench.shared import frame_path, print_row, run_origin, start

SLICES, SLICE = 174, 131_072
PEOPLE = ("ada", "eve", "kim")
RENEWED = 10.0
"""Seconds after which the token of the last one is renewed."""
SECONDS, ROUNDS = 12.0, 3
"""Seconds of a round, and rounds in which the two proxies take turns. The whole run takes over a minute."""
WIDTHS = (26, 12, 12, 16, 14)


def run() -> None:
    print(
        f"{', '.join(PEOPLE)} scroll through a volume of {SLICES} frames of {SLICE:,} bytes for"
        f" {SECONDS * ROUNDS:g} s; the token of\nthe last one is renewed every {RENEWED:g} s. Bytes from"
        " the origin over those of the volume, and ms of a hit.\n"
    )
    print_row(("", "bytes", "probes", "p50", "p99"), WIDTHS)
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        proxies = {
            policy: stack.enter_context(program({"origins": [{"url": origin}], "access": policy}))
            for policy in ("ask-origin", "shared")
        }
        hits: dict[str, list[float]] = {policy: [] for policy in proxies}
        began = time.monotonic()
        for proxy in proxies.values():
            uvloop.run(_scroll(proxy, began, once=True))
        for _ in range(ROUNDS):
            for policy, proxy in proxies.items():
                hits[policy] += uvloop.run(_scroll(proxy, began))
        for policy, proxy in proxies.items():
            times = sorted(hits[policy])
            shown = (f"{1000 * times[int(share * len(times))]:.2f}" for share in (0.5, 0.99))
            print_row((policy, f"{_brought(proxy):.3f}", f"{_probes(proxy):.0f}", *shown), WIDTHS)


async def _scroll(proxy: Program, began: float, *, once: bool = False) -> list[float]:
    """Seconds of each response. All people read all frames `once`, or until the round is over."""
    seen: list[float] = []
    until = time.monotonic() + SECONDS

    async def scroll(who: str) -> None:
        async with Server(proxy.url) as server:
            for number in range(SLICES) if once else count():
                if not once and time.monotonic() > until:
                    return
                asked = time.perf_counter()
                headers = {"Accept": "image/jphc", "Authorization": _token(who, began)}
                async with server.ask(frame_path("7", number % SLICES, SLICE), headers) as response:
                    async for _ in response.aiter_raw():
                        pass
                seen.append(time.perf_counter() - asked)

    await asyncio.gather(*(scroll(who) for who in PEOPLE))
    return seen


def _token(who: str, began: float) -> str:
    is_renewed = who == PEOPLE[-1]
    return f"Bearer {who} {int((time.monotonic() - began) / RENEWED) if is_renewed else 0}"


def _total(proxy: Program, name: str) -> float:
    text = httpx.get(f"{proxy.admin}/metrics", trust_env=False).text
    return sum(map(float, re.findall(rf"^progressive_proxy_{name}\{{.*\}} (\S+)$", text, re.MULTILINE)))


def _brought(proxy: Program) -> float:
    return _total(proxy, "origin_bytes_total") / (SLICES * SLICE)


def _probes(proxy: Program) -> float:
    return _total(proxy, "access_probes_total")

"""One response does not hold the loop: it writes a bounded number of bytes at each turn."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from proxy.frame.identity import Claim, Lease, identify
from proxy.viewers.delivery import A_TURN, DeliveryProgress, send_part
from proxy.wire.resource import FrameResource
from tests.scripted_origin import LABEL, codestream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("sizes", [[8 * A_TURN + 1], [A_TURN // 4] * 32, [10, 3 * A_TURN, 10]])
async def test_a_response_writes_a_bounded_number_of_bytes_at_each_turn(sizes: list[int]) -> None:
    body = codestream(sum(sizes))
    ends = [sum(sizes[: at + 1]) for at in range(len(sizes))]

    async def pieces() -> AsyncIterator[bytes]:
        for size, end in zip(sizes, ends, strict=True):
            yield body[end - size : end]

    turn, by_turn, sent = 0, Counter[int](), []

    async def send(message: MutableMapping[str, Any]) -> None:
        part = bytes(message.get("body", b""))
        by_turn[turn] += len(part)
        sent.append(part)

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    identity = identify(Claim(LABEL, len(body), '"1"', Lease()), body[:65536])
    resource = FrameResource("1", "2", "3", 1)
    await send_part(send, resource, identity, pieces(), DeliveryProgress(0.0), 0, is_last=True)
    counting.cancel()
    assert body in b"".join(sent)
    assert max(by_turn.values()) <= A_TURN + 1024

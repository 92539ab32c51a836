"""A frame of a list whose fetch has given up as the list begins. Its fill says so a moment later."""

from collections.abc import MutableMapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from proxy.errors import OriginBusy, OriginFailed, OriginRefused, ProxyError
from proxy.fetch.retrieve import Reading, Retrieval, Retrieve
from proxy.fetch.source import CacheOutcome, HeldFrame
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, Identity, identify
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest
from proxy.viewers.delivery import DeliveryProgress
from proxy.viewers.response import Conditions
from proxy.viewers.several import send_several
from proxy.wire.media import Envelope
from proxy.wire.resource import FrameResource

pytestmark = pytest.mark.anyio

BODY = b"\xff\x4f\xff\x51" + bytes(range(256)) * 20
LISTED = [FrameResource("1", "2", "3", number) for number in (1, 2, 3)]


@dataclass
class Failing:
    """A source whose fill has failed."""

    error: ProxyError

    async def describe(self) -> Identity:
        raise self.error.anew()

    def sending(self, start: int, stop: int | None) -> nullcontext[None]:
        return nullcontext()


@dataclass
class Frames:
    """Opens frames. Frame `number` fails so many times."""

    error: ProxyError
    number: int
    failures: int
    opened: list[int] = field(default_factory=list)
    left: int = 0

    def open(self, wanted: Retrieval) -> Reading:
        number = wanted.key.resource.frame_number
        self.opened.append(number)
        frame = Frame(identify(Claim("image/jphc", len(BODY), '"a"'), BODY), (BODY,), len(BODY))
        fails = number == self.number and self.opened.count(number) <= self.failures
        source = cast("HeldFrame", Failing(self.error)) if fails else HeldFrame(frame)
        return Reading(source, CacheOutcome.MISS, self._leave)

    def _leave(self) -> None:
        self.left += 1


async def sent_by(frames: Frames) -> bytes:
    """The body of the response. Raises the error that ended it."""
    body = bytearray()

    async def send(message: MutableMapping[str, Any]) -> None:
        body.extend(message.get("body", b""))

    async def wanted_of(resource: FrameResource) -> Retrieval:
        asked = OriginRequest(FrameKey("pacs", b"", resource), (), ())
        return Retrieval(asked, None, None, is_completed=True)

    retrieve, progress = cast("Retrieve", frames), DeliveryProgress(0.0)
    conditions = Conditions(Envelope.MULTIPART)
    await send_several(LISTED, wanted_of, retrieve, send, progress, conditions, is_last_there=True)
    return bytes(body)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("error", [OriginBusy(503, 1.0), OriginFailed("a fault")])
async def test_its_frame_is_opened_once_more(error: ProxyError, number: int) -> None:
    frames = Frames(error, number, failures=1)
    assert (await sent_by(frames)).count(BODY) == 3
    assert frames.opened == [1, 2, 3, number]
    assert frames.left == 4


async def test_a_frame_that_fails_again_ends_the_list() -> None:
    frames = Frames(OriginBusy(503, 1.0), 2, failures=2)
    with pytest.raises(OriginBusy):
        await sent_by(frames)
    assert frames.opened == [1, 2, 3, 2]
    assert frames.left == 4


@pytest.mark.parametrize(
    ("error", "number"), [(OriginBusy(503, 1.0), 1), (OriginRefused(403), 2)], ids=["first", "refused"]
)
async def test_a_list_that_has_not_begun_and_a_refusal_are_not_tried_again(
    error: ProxyError, number: int
) -> None:
    frames = Frames(error, number, failures=1)
    with pytest.raises(type(error)):
        await sent_by(frames)
    assert frames.opened == [1, 2, 3]
    assert frames.left == 3

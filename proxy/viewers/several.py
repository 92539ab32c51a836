"""Several frames in one response (PS3.18 10.4.1.1.6): each is a part, in order, sent once it is complete.

A response that has begun can only be cut off, so the proxy sends nothing before it knows that every frame
exists. Frames are numbered without gaps, so it is enough that the last one exists. The proxy looks it up in
the metadata of the series, if that is held. Otherwise it fetches the first bytes of the last frame while the
first frame comes.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice

from starlette.types import Send

from proxy.errors import UnknownFrame
from proxy.fetch.retrieve import Reading, Retrieval, Retrieve
from proxy.viewers.delivery import DeliveryProgress, send_part
from proxy.viewers.response import Conditions
from proxy.wire.resource import FrameResource

AHEAD = 6
"""Number of frames of a list that are fetched at once."""


async def send_several(
    listed: Sequence[FrameResource],
    wanted_of: Callable[[FrameResource], Awaitable[Retrieval]],
    retrieve: Retrieve,
    send: Send,
    progress: DeliveryProgress,
    conditions: Conditions,
    *,
    is_last_there: bool | None,
) -> None:
    """Sends the response. Raises `UnknownFrame`, `PreconditionFailed`, and the error that ended a fetch.

    `is_last_there` is True if the metadata has the frame with the highest number; None if it does not say.
    """
    if is_last_there is False:
        raise UnknownFrame("frames: the instance has fewer frames, according to the metadata of its series")
    opened: deque[tuple[Retrieval, Reading]] = deque()
    numbers = range(1 if conditions.is_head else len(listed))
    left = iter(listed[: len(numbers)])
    begun = _Begun()
    try:
        for number in numbers:
            for resource in islice(left, AHEAD - len(opened)):
                wanted = await wanted_of(resource)
                opened.append((wanted, begun.joined(retrieve.open(wanted))))
            if number == 0 and is_last_there is None:
                last = max(listed, key=lambda each: each.frame_number)
                await _see(retrieve.open(await wanted_of(last)))
            wanted, first = opened[0]
            if number and first.has_failed:  # perhaps before the response had begun, and so without patience
                wanted = await wanted_of(listed[number])  # the caller's right may have ended
                first.leave()
                first = begun.joined(retrieve.open(wanted))
                opened[0] = wanted, first
            identity = await first.source.describe()
            if not wanted.may_have(first, identity):
                first.leave()
                first = begun.joined(retrieve.open(replace(wanted, is_alone=True)))
                opened[0] = wanted, first
                identity = await first.source.describe()
            if number == 0:
                conditions.check_match("")  # a list has no ETag
            if wanted.permit is not None:  # other frames may have taken a while
                await wanted.permit.check()
            source, progress.outcome = first.source, first.outcome
            stop = 0 if conditions.is_head else identity.claim.total
            await source.reached(stop)
            pieces, is_last = source.read(0, stop), number == numbers[-1]
            await send_part(send, listed[0], identity, pieces, progress, number, is_last=is_last)
            opened.popleft()[1].leave()
            begun.begin()
    finally:
        begun.close()
        for _, each in opened:
            each.leave()


class _Begun:
    """Tells the frames that a response has begun: from then on, an error of theirs could only cut it."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []
        self._sending = ExitStack()
        self._is_begun = False

    def joined(self, reading: Reading) -> Reading:
        """One more frame is open."""
        self._readings.append(reading)
        if self._is_begun:
            self._tell()
        return reading

    def begin(self) -> None:
        """The response has begun."""
        self._is_begun = True
        self._tell()

    def _tell(self) -> None:
        for reading in self._readings:
            self._sending.enter_context(reading.source.sending(-1, None))
        self._readings.clear()

    def close(self) -> None:
        """The response has ended."""
        self._sending.close()


async def _see(opened: Reading) -> None:
    """Returns once the first bytes of a frame are in."""
    try:
        await opened.source.describe()
    finally:
        opened.leave()

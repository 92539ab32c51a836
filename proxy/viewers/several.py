"""Several frames in one response (PS3.18 10.4.1.1.6): each is a part, in order, sent once it is complete.

A response that has begun can only be cut off, so the proxy sends nothing before it knows that every frame
exists. Frames are numbered without gaps, so it is enough that the last one exists. The proxy looks it up in
the metadata of the series, if that is held. Otherwise it fetches the first bytes of the last frame while the
first frame comes.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice

from starlette.types import Send

from proxy.errors import OriginBusy, OriginFailed, UnknownFrame
from proxy.fetch.retrieve import Reading, Retrieval, Retrieve
from proxy.frame.identity import Identity
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
    opened: deque[_Opened] = deque()
    numbers = range(1 if conditions.is_head else len(listed))
    left = iter(listed[: len(numbers)])
    sending = _Sending(retrieve)
    try:
        for number in numbers:
            for resource in islice(left, AHEAD - len(opened)):
                opened.append(sending.open(await wanted_of(resource)))
            if number == 0 and is_last_there is None:
                last = max(listed, key=lambda each: each.frame_number)
                await _see(retrieve.open(await wanted_of(last)))
            try:
                identity = await sending.ready(opened, is_head=conditions.is_head)
            except (OriginBusy, OriginFailed):
                if not sending.has_begun or opened[0].is_patient:
                    raise
                opened[0].reading.leave()
                opened[0] = sending.open(await wanted_of(listed[number]))  # the caller's right may have ended
                identity = await sending.ready(opened, is_head=conditions.is_head)
            if number == 0:
                conditions.check_match("")  # a list has no ETag
            first = opened[0].reading
            source, progress.outcome = first.source, first.outcome
            pieces = source.read(0, 0 if conditions.is_head else identity.claim.total)
            is_last = number == numbers[-1]
            await send_part(send, listed[0], identity, pieces, progress, number, is_last=is_last)
            opened.popleft().reading.leave()
            sending.begin(opened)
    finally:
        sending.close()
        for each in opened:
            each.reading.leave()


@dataclass(frozen=True, slots=True)
class _Opened:
    """A frame of the list that is open."""

    wanted: Retrieval
    reading: Reading
    is_patient: bool
    """True if the response had begun by then, so that its fetch waits while the origin is busy."""


class _Sending:
    """Opens frames, and tells those of a response that has begun: an error of theirs could only cut it."""

    def __init__(self, retrieve: Retrieve) -> None:
        self._retrieve = retrieve
        self._told = ExitStack()
        self.has_begun = False
        """True once the response has begun."""

    def open(self, wanted: Retrieval) -> _Opened:
        """Opens a frame."""
        opened = _Opened(wanted, self._retrieve.open(wanted), self.has_begun)
        if self.has_begun:
            self._tell(opened)
        return opened

    def begin(self, opened: Iterable[_Opened]) -> None:
        """The response has begun. A fetch of a frame that is open may have lost its patience already."""
        if not self.has_begun:
            self.has_begun = True
            for each in opened:
                self._tell(each)

    def _tell(self, opened: _Opened) -> None:
        self._told.enter_context(opened.reading.source.sending(-1, None))

    async def ready(self, opened: deque[_Opened], *, is_head: bool) -> Identity:
        """Returns once the next frame is in, as the caller may have it. Raises the error that ended it."""
        first = opened[0]
        identity = await first.reading.source.describe()
        if not first.wanted.may_have(first.reading, identity):
            first.reading.leave()
            opened[0] = first = self.open(replace(first.wanted, is_alone=True))
            identity = await first.reading.source.describe()
        if first.wanted.permit is not None:  # other frames may have taken a while
            await first.wanted.permit.check()
        await first.reading.source.reached(0 if is_head else identity.claim.total)
        return identity

    def close(self) -> None:
        """The response has ended."""
        self._told.close()


async def _see(opened: Reading) -> None:
    """Returns once the first bytes of a frame are in."""
    try:
        await opened.source.describe()
    finally:
        opened.leave()

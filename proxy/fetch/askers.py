"""The callers whose credentials a fill may use, one after the other.

Callers join a fill that another one started. If the origin refuses that one, the fill goes on with the
credentials of the next. The one who was refused gets the origin's refusal, and nothing that others brought. A
caller who is refused in another request gets nothing either, until the origin has let it read again.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

from proxy.access.proofs import is_of_caller
from proxy.codestream.layout import Layout
from proxy.codestream.reach import ResolutionTarget, TargetEnd
from proxy.errors import OriginFailed, OriginRefused, ProxyError
from proxy.fetch.permit import Permit
from proxy.fetch.source import FrameSource
from proxy.frame.identity import Identity
from proxy.frame.scope import FrameScope, revoked
from proxy.frame.supply import OriginRequest

Read = TypeVar("Read")

STEP = 256 * 1024
"""Bytes that a caller gets at once, before its right to read on is looked at again."""


class Askers:
    """The requests of all who want one frame while it is fetched; at most one of each caller."""

    def __init__(self, first: OriginRequest) -> None:
        self.now = first
        """The request that fetches use now."""
        self.has_asked = False
        """True once a request has gone out."""
        self._waiting: dict[bytes, OriginRequest] = {}
        self._refused: dict[bytes, OriginRefused] = {}

    def join(self, asked: OriginRequest) -> None:
        """One more caller wants the frame, and may read the study now."""
        error = self._refused.get(asked.identity)
        if error is not None and is_of_caller(error.status):
            del self._refused[asked.identity]  # the origin changed its mind
        if asked.identity and asked.identity != self.now.identity and asked.identity not in self._refused:
            self._waiting[asked.identity] = asked

    def pass_on(self, asked: OriginRequest, error: OriginRefused) -> bool:
        """The origin refused a request. Returns True if another caller's may be tried instead.

        The origin may lack for one caller a frame that it has for another. Other refusals are for all.
        """
        if not asked.identity or not (is_of_caller(error.status) or error.status in (404, 410)):
            return False
        self._refused[asked.identity] = error.anew()
        if asked is not self.now:
            return True  # the other fetch of the fill has passed it on
        if not self._waiting:
            return False
        self.now = self._waiting.pop(next(iter(self._waiting)))
        return True

    def check(self, identity: bytes) -> None:
        """Raises the refusal of a caller, if the origin refused it."""
        error = self._refused.get(identity)
        if error is not None:
            raise error.anew()


def revoked_by(asked: OriginRequest, error: ProxyError) -> FrameScope | None:
    """Everything that the origin no longer serves, as its error says; None if it says no such thing."""
    if isinstance(error, OriginRefused) and error.is_repeated:
        return None  # the refusal itself has dropped what it concerns
    status = error.status if isinstance(error, OriginRefused) else None
    if isinstance(error, OriginFailed):
        status = error.refused
    if asked.identity not in (b"", asked.key.partition) and status in (401, 403):
        return None  # others may read it all the same
    named = revoked(asked.key, status) if status is not None else None
    if named is not None and not asked.credentials:  # a caller without a credential tells only of its kind
        return replace(named, partition=asked.key.partition)
    return named


@dataclass(frozen=True, slots=True)
class OwnView:
    """A fill, or a frame that is held, as one caller reads it."""

    fill: FrameSource
    """A reader of the fill."""
    askers: Askers | None
    """The callers of the fill; None for a frame that is held."""
    identity: bytes
    """The caller who reads."""
    permit: Permit | None
    """The caller's permit to read on; None if somebody else looks after that."""

    async def _checked(self, read: Awaitable[Read]) -> Read:
        try:
            found = await read
        except OriginRefused:
            self._check_fill()
            raise
        await self._check()
        return found

    def _check_fill(self) -> None:
        if self.askers is not None:
            self.askers.check(self.identity)

    async def _check(self) -> None:
        """Returns if the caller may have more. Raises `OriginError`, `CallerRefused`."""
        self._check_fill()
        if self.permit is not None:
            await self.permit.check()

    async def describe(self) -> Identity:
        """Returns the identity of this version of the frame."""
        return await self._checked(self.fill.describe())

    async def settle(self) -> Identity:
        """Returns an identity that no other version has."""
        return await self._checked(self.fill.settle())

    async def take(self, start: int, stop: int) -> Sequence[bytes | memoryview]:
        """Returns the bytes of `[start, stop)` that are in, at least one."""
        return await self._checked(self.fill.take(start, stop))

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes | memoryview]:
        """Yields the bytes of `[start, stop)` as they come."""
        pieces = self.fill.read(start, stop)
        while start < stop:
            piece = memoryview(await self._checked(anext(pieces)))
            start += len(piece)
            for at in range(0, len(piece), STEP):
                if at:
                    await self._check()
                yield piece[at : at + STEP]

    async def reached(self, start: int) -> None:
        """Returns when all bytes before `start` are in."""
        await self._checked(self.fill.reached(start))

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """Returns the end of a target."""
        return await self._checked(self.fill.told(reach))

    def sending(self, start: int, stop: int | None) -> AbstractContextManager[None]:
        """A response is being sent. See `Demand.sending`."""
        return self.fill.sending(start, stop)

    @property
    def size(self) -> int:
        """Bytes that are in."""
        return self.fill.size

    @property
    def layout(self) -> Layout | None:
        """The layout of the codestream."""
        return self.fill.layout

"""The interface of a tier: a cache of frames behind memory, slower and larger, which may outlive the process.

A tier keeps the first bytes of a frame apart from the rest, so that they can outlive it. Either part is of
one version, which the frame's identity names.

A tier may fail at anything, and raises what it likes. Its callers (`proxy.cache.behind`) take any error and
any look-up that takes too long for a miss, count it, and write a line to the log. No viewer hears of it. In
return a tier has to keep three promises:

    right       each byte that it returns was put under that very key. If it can't tell, it raises `Wrong`.
    forgotten   what a scope names is not returned any more once `forget` has returned, also after a restart.
    off loop    no call holds up the event loop.

Times: a lease is dated by the monotonic clock of this process. A tier keeps the wall clock's time instead,
and dates the lease anew when it returns the frame (`proxy.cache.record`).
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from proxy.frame.frame import PIECE, SMALL_PIECE, Frame
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

SMALL = 256 * 1024
"""Bytes up to which a tier keeps a whole frame as one with its first bytes."""


def piece_end(at: int) -> int:
    """The end of the piece that has the byte at `at`, in a tier that replicas share.

    Such a tier gets a piece as soon as it is there, so that another replica can go on from its end. A piece
    has at most `SMALL_PIECE` bytes, or an eighth of what lies before it, up to `PIECE`. The ends are the same
    for each replica, so all who write a version write the same pieces.

    >>> [piece_end(at) / SMALL_PIECE for at in (0, 65536, SMALL_PIECE, 16 * SMALL_PIECE, 70 * SMALL_PIECE)]
    [1.0, 1.0, 2.0, 18.0, 72.0]
    """
    before = at // SMALL_PIECE
    step = min(max(1, (1 << before.bit_length()) >> 4), PIECE // SMALL_PIECE)
    return (before // step + 1) * step * SMALL_PIECE


class Wrong(Exception):
    """The bytes that a tier has under a key are not those that were put there."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a viewer waits for a tier, in seconds."""

    first: float
    """For the first bytes of a frame."""
    piece: float
    """For each next piece of the rest."""


class Tier(Protocol):
    """A cache of frames behind memory."""

    @property
    def name(self) -> str:
        """One word for metrics, the log and `Cache-Status`."""

    @property
    def budget(self) -> Budget:
        """How long a look-up may take."""

    @property
    def writers(self) -> int:
        """Frames that are written at once, each under another key. A `forget` may come in between."""

    async def first(self, key: FrameKey) -> Frame | None:
        """The first bytes of a frame with its identity, or the whole frame if it is `SMALL`. None is a miss.

        The frame may be stale. A tier of this machine says if it has the rest (`Frame.is_rest_near`).
        """

    def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[bytes]:
        """Yields the bytes of a frame from `start` to its end in pieces, if they are of this version.

        `version` is vouched for. A tier that has the frame of another version, or only some of it, yields
        nothing. One that fails in the middle has yielded only right bytes.
        """

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        """Keeps a frame; at least its first piece, if it is not whole. False if it may not be kept any more.

        A put of the version that it has already costs little: it may bring a new lease, or the rest.
        """

    async def forget(self, named: FrameScope) -> None:
        """Drops all frames of a scope. It may drop more."""

    async def tend(self) -> bool:
        """Drops some frames whose time is over, and the like. True if more is left to do.

        It is called first, when there has been nothing to write for a while, and again as long as it is true.
        A call takes little time, so that what comes meanwhile does not wait.
        """

    async def aclose(self) -> None:
        """Ends; what was put stays."""


class Listener(Protocol):
    """Does in one replica what others tell."""

    def forget(self, named: FrameScope) -> None:
        """They have dropped a scope."""

    def revoke(self, caller: bytes, origin: str, study: str) -> None:
        """The origin has refused a caller whom it had let in before."""

    def doubt(self) -> None:
        """They may have told something that was not heard."""


@runtime_checkable
class Replicated(Tier, Protocol):
    """A tier that replicas share, and through which each tells the others what it drops."""

    async def hear(self, listener: Listener) -> None:
        """Hears what others tell, until it is cancelled."""

    async def revoke(self, caller: bytes, origin: str, study: str) -> None:
        """Tells the others that the origin has refused a caller."""

    async def renew(self, is_coming: Callable[[FrameKey], bool]) -> None:
        """Lets others wait for the frames that are coming here, until it is cancelled."""


def is_same(one: Identity, other: Identity) -> bool:
    """True if two identities name the same version for certain, so that bytes of both may be joined."""
    return one.is_vouched and other.is_vouched and _name(one) == _name(other)


def is_other(one: Identity, other: Identity) -> bool:
    """True if two identities name different versions for certain."""
    return one.is_vouched and other.is_vouched and _name(one) != _name(other)


def _name(identity: Identity) -> tuple[str, int]:
    return identity.digest, identity.claim.total

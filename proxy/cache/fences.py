"""Fences (`proxy.cache.fenced`) and leases at a server: nothing comes back, and one replica fetches a frame.

A fence that the server lost is made anew. So the server may evict it like any key: that costs the frames
under it, and brings nothing back.

A lease says that a replica fetches a frame. It ends by itself when the replica dies. It spares requests to
the origin, and nothing depends on it: a replica whose lease has ended may still write, because all who write
a version write the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_bytes, token_hex

from proxy.cache.fenced import Known, Tokens
from proxy.cache.places import Places
from proxy.cache.server import Command, Server
from proxy.frame.key import FrameKey

LEASE = 1.0
"""Seconds until the lease of a replica that died ends."""

_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a replica that would fetch a frame."""

    fences: Tokens
    """The fences of the frame; empty if the server could not keep them."""
    is_mine: bool
    """True if the replica may fetch now; False if another one does."""
    found: tuple[bytes | None, bytes | None]
    """The record and the first bytes that are there by now."""


@dataclass(eq=False, slots=True)
class _Held:
    key: FrameKey
    until: float
    """The time until which it may take to begin, such as to ask the origin about the caller."""
    has_begun: bool = False

    def is_over(self, now: float) -> bool:
        """True if the frame does not come any more."""
        return self.has_begun or now >= self.until


class Fences:
    """The fences and leases of one replica."""

    def __init__(self, server: Server, ttl: float, clock: Callable[[], float]) -> None:
        """The server keeps a fence for `ttl` seconds after the last frame was written behind it."""
        self._server = server
        self._ttl = int(ttl) + 1
        self._clock = clock
        self._me = token_hex(16).encode()
        self.known = Known()
        """The fences that this replica has read."""
        self._held: dict[bytes, _Held] = {}
        self.lease = LEASE
        """Seconds for which a lease is taken, and renewed."""

    def is_mine(self, at: Places, lease: bytes) -> bool:
        """True if this process holds a lease that the server has, and is not just giving it back."""
        return lease == self._me and at.lease in self._held

    async def change(self, fence: bytes) -> bytes:
        """Changes a fence. Returns the new token."""
        token = token_bytes(8)
        (answer,) = await self._server.do(("SET", fence, token, "EX", self._ttl))
        if isinstance(answer, Exception):
            raise answer
        return token

    def kept(self, at: Places) -> list[Command]:
        """The commands that keep the fences of a frame as long as the frame."""
        return [("EXPIRE", fence, self._ttl) for fence in at.fences]

    async def take(self, key: FrameKey, at: Places) -> Taken:
        """Takes the lease of a frame, unless another replica has it. Makes fences that are missing."""
        made: list[Command] = [("SET", fence, token_bytes(8), "NX", "EX", self._ttl) for fence in at.fences]
        lease: Command = ("SET", at.lease, self._me, "NX", "PX", int(self.lease * 1000))
        read: list[Command] = [("GET", place) for place in (*at.fences, at.lease, at.record, at.first)]
        answers = (await self._server.do(*made, lease, *read))[len(made) :]
        *fences, holder, record, first = (
            answer if isinstance(answer, bytes) else None for answer in answers[1:]
        )
        tokens = tuple(token for token in fences if token is not None)
        tokens = tokens if len(tokens) == len(at.fences) else ()
        if tokens:
            self.known.note(key, at.fences, tokens)
        is_new = bool(answers[0]) and not isinstance(answers[0], Exception)
        if holder == self._me and (is_new or at.lease in self._held):
            self._held[at.lease] = _Held(key, self._clock() + self.lease)
        is_mine = holder is None or self.is_mine(at, holder)
        return Taken(tokens, is_mine, (record, first))

    async def release(self, at: Places) -> None:
        """Gives a lease back."""
        if self._held.pop(at.lease, None) is not None:
            await self._server.run(_RELEASE, at.lease, self._me)

    async def renew(self, is_coming: Callable[[FrameKey], bool]) -> None:
        """Renews the leases of frames that are coming, and gives back those of frames that don't come.

        Both in one round trip (in a cluster, one to each node), so that many leases don't end meanwhile.
        """
        coming = {place: held for place, held in self._held.items() if is_coming(held.key)}
        for held in coming.values():
            held.has_begun = True
        now = self._clock()
        idle = [place for place, held in self._held.items() if place not in coming and held.is_over(now)]
        for place in idle:
            del self._held[place]
        if not (coming or idle):
            return
        time = int(self.lease * 1000)
        renewed: list[Command] = [("EVAL", _RENEW, 1, place, self._me, time) for place in coming]
        released: list[Command] = [("EVAL", _RELEASE, 1, place, self._me) for place in idle]
        answers = await self._server.do(*renewed, *released)
        for (place, held), answer in zip(coming.items(), answers, strict=False):
            if answer == 0 and self._held.get(place) is held:
                del self._held[place]

"""Replicas that serve a day of requests, each with the real store, in the day's time.

The disk and the shared tier are models: the same store with more room, which never fails. The shared tier's
lease is a model too. One replica fetches a frame. Another one that misses it meanwhile waits for it, but
for no part longer than `WAIT`, and then fetches that part itself.

Two things are better than at a real site. Lines and disks carry any load, so nothing waits in a queue. And a
replica's memory has a frame as soon as it is requested, so a second viewer of that replica waits for nothing.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from typing import cast

from proxy.cache.memory import OVERHEAD, MemoryStore
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, Identity
from proxy.frame.key import FrameKey
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import FrameResource
from tests.simulation.day import WORK, Day, Request, Study

DAY, HOUR, SPAN = 86_400.0, 3600.0, 600
LATENCY = {"memory": 1.6, "disk": 3.0, "shared": 3.0, "origin": 30.0}
"""Milliseconds that each adds to the first bytes, if all before it have missed. Memory's is the hot range of
the radiograph in `docs/results/demo.json`, and the origin's is the cold one less that. The others are
assumptions: what a disk may take at most, and a round trip inside a cluster with time to serve 64 KiB."""
RATE = 30e6 / 8
"""Bytes per second with which a frame arrives from the origin: the line of `docs/results/demo.json`."""
WAIT = 0.1
"""Seconds that a replica waits for another one."""
FINEST = 4
"""The finest resolution has all but a quarter of a frame's bytes."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replicas of a site."""

    replicas: int
    memory: int
    """`cache.bytes` of each."""
    disk: int = 0
    """Bytes of the disk of each."""
    shared: int = 0
    """Bytes of the shared tier."""
    is_hashed: bool = False
    """True if one replica serves all of a study."""
    ttl: float = DAY
    """`cache.ttl`"""


@dataclass(slots=True)
class Outcome:
    """What a day took. Bytes are those of the whole day."""

    bytes: Counter[str] = field(default_factory=Counter)
    """By who had them."""
    spans: Counter[int] = field(default_factory=Counter)
    """Bytes of the origin in each ten minutes."""
    frames: Counter[int] = field(default_factory=Counter)
    """Frames that viewers requested in each ten minutes."""
    firsts: Counter[float] = field(default_factory=Counter)
    """Frames by milliseconds until their first bytes."""

    @property
    def hits(self) -> float:
        """Share of the bytes that did not come from the origin."""
        return 1 - self.bytes["origin"] / self.bytes.total()

    @property
    def mean(self) -> float:
        """Mean milliseconds until the first bytes of a frame."""
        return sum(took * count for took, count in self.firsts.items()) / self.firsts.total()

    def first(self, share: float) -> float:
        """Milliseconds within which so many have their first bytes."""
        ordered = sorted(self.firsts)
        sums = list(accumulate(self.firsts[took] for took in ordered))
        return ordered[bisect_left(sums, share * sums[-1])]


@cache
def owner(study: int, replicas: int) -> int:
    """The replica of a study, by rendezvous hashing."""
    return max(range(replicas), key=lambda replica: blake2b(f"{study} {replica}".encode()).digest())


def replay(day: Day, fleet: Fleet) -> Outcome:
    """Serves a day. Each replica restarts once, in the middle of work; its disk stays."""
    service = _Service(day, fleet)
    for request in day.requests:
        service.serve(request)
    return service.outcome


class _Service:
    def __init__(self, day: Day, fleet: Fleet) -> None:
        self.outcome = Outcome()
        self._day, self._fleet = day, fleet
        self._telemetry = Telemetry()
        self._now = 0.0
        self._has_restarted = False
        self._memories = self._stores(fleet.memory)
        self._disks = self._stores(fleet.disk) if fleet.disk else []
        self._shared = self._store(fleet.shared) if fleet.shared else None
        self._fetched: dict[FrameKey, tuple[float, float]] = {}
        """When the first bytes and the last byte of a frame were last written to the shared tier."""

    def _store(self, size: int) -> MemoryStore:
        budget, overhead = size // self._day.sample, round(OVERHEAD * self._day.overhead)
        return MemoryStore(
            budget, 0.5, self._fleet.ttl, self._telemetry, lambda: self._now, overhead=overhead
        )

    def _stores(self, size: int) -> list[MemoryStore]:
        return [self._store(size) for _ in range(self._fleet.replicas)]

    def serve(self, request: Request) -> None:
        self._now = request.at
        if not self._has_restarted and self._now > WORK / 2:
            self._has_restarted, self._memories = True, self._stores(self._fleet.memory)
        study = self._day.studies[request.study]
        key = _key(request.study, request.frame)
        tiers = self._tiers(request)
        held = {name: store.get(key) for name, store in tiers.items()}
        self._count(study, *self._given(key, study, held))
        frame = _frame(study)
        for name, store in tiers.items():
            had = held[name]
            if had is None or had.size < study.size:
                store.put(key, frame, b"%16d" % request.viewer)

    def _tiers(self, request: Request) -> dict[str, MemoryStore]:
        """The stores that a request reaches, from near to far."""
        count, is_hashed = self._fleet.replicas, self._fleet.is_hashed
        replica = owner(request.study, count) if is_hashed else int(request.connection * count)
        tiers = {"memory": self._memories[replica]}
        if self._disks:
            tiers["disk"] = self._disks[replica]
        if self._shared is not None:
            tiers["shared"] = self._shared
        return tiers

    def _given(
        self, key: FrameKey, study: Study, held: dict[str, Frame | None]
    ) -> tuple[dict[str, int], float]:
        """The bytes that each tier and the origin give, and milliseconds until the first ones."""
        given: dict[str, int] = {}
        have, took, first = 0, 0.0, 0.0
        for name, frame in held.items():
            if have == study.size:
                return given, first
            took += LATENCY[name]
            size, waited = frame.size if frame else 0, 0.0
            if frame and name == "shared":
                size, waited = self._waited(key, frame)
            if size > have:
                first = first or took + 1000 * waited
                given[name], have = size - have, size
        if have < study.size:
            took += LATENCY["origin"]
            given["origin"] = study.size - have
            self._fetch(key, 0.0 if have else took / 1000, given["origin"] / study.weight)
        return given, first or took

    def _fetch(self, key: FrameKey, begins: float, size: float) -> None:
        """A replica fetches a frame, and takes its lease unless another one has it."""
        if self._shared is not None and self._fetched.get(key, (0.0, 0.0))[1] <= self._now:
            begun = self._now + begins
            self._fetched[key] = (begun, begun + self._day.sample * size / RATE)

    def _waited(self, key: FrameKey, frame: Frame) -> tuple[int, float]:
        """Bytes that the shared tier has within the wait, and the seconds until the first ones.

        The first bytes are always there in time, because `LATENCY` is shorter than `WAIT`.
        """
        begun, ended = self._fetched[key]
        is_whole = ended <= self._now + WAIT
        return frame.size if is_whole else len(frame.pieces[0]), max(0.0, begun - self._now)

    def _count(self, study: Study, given: dict[str, int], first: float) -> None:
        span, scale = int(self._now // SPAN), self._day.sample
        for name, size in given.items():
            self.outcome.bytes[name] += size * scale
        self.outcome.spans[span] += given.get("origin", 0) * scale
        self.outcome.frames[span] += round(study.weight)
        self.outcome.firsts[round(first, 1)] += round(study.weight)


@cache
def _key(study: int, frame: int) -> FrameKey:
    return FrameKey("pacs", b"", FrameResource(str(study), "1", "1", frame))


@cache
def _frame(study: Study) -> Frame:
    """A frame whose bytes are ranges: they have a length and can be cut, and take no memory."""
    identity = Identity(Claim("image/jphc", study.size, '"1"'), "1", (study.size // FINEST, study.size))
    pieces = range(study.first), range(study.size - study.first)
    return Frame(identity, cast("tuple[bytes, ...]", pieces), study.size)

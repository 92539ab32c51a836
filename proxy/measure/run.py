"""Measures each subject in each way: directly, through a cold proxy, and through a hot proxy.

A load is cold if its query was never used before, because the proxy keys on the query and passes it to the
origin. A load is hot if it repeats that query and every response is a hit. Each frame is compared with the
bytes that the origin sent first. A difference is an error and yields no number.

The lists of a study have no such query. Before a study is opened cold, our own proxy drops all of it.
"""

import secrets
import statistics
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

from proxy.errors import MeasureError, OriginMismatch, ProxyError
from proxy.measure.network import Network
from proxy.measure.opening import OPEN, Opened, open_study
from proxy.measure.plans import PLANS, SAMPLES, load_by_plan
from proxy.measure.resolution import proved_resolution
from proxy.measure.row import Cache, Link, Row, Sample
from proxy.measure.series import Kind, Subject
from proxy.measure.server import Server
from proxy.measure.two_step import CUT, JLS, JLS_ACCEPTS, JLS_MADE, JLS_REDUCED, TWICE, load_twice
from proxy.measure.viewer import WAYS, Loaded, Viewer, Way
from proxy.origin.outbound import Outbound
from proxy.wire.resource import parse_frame_path

JLS_WHOLE = "jls"
"""The way for an origin's JPEG-LS frames: one plain request each."""
SHORT = {
    Kind.STACK: {OPEN, Way.WHOLE, Way.STREAMING, Way.RANGE, JLS_REDUCED, JLS_MADE, CUT, "first 1/16"},
    Kind.VOLUME: {OPEN, Way.WHOLE, Way.RANGE, Way.INTERLEAVED, JLS_REDUCED, JLS_MADE, CUT, "first 1/4"},
}
"""The ways of a short table: one of each kind. A load of the volume takes as long as the link needs."""
HOT_TRIES = 3
"""Loads to try until every response is a hit."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The subjects, servers and network to measure. URLs lead through the link if there is one."""

    subjects: tuple[Subject, ...]
    """Subjects in table order."""
    direct_url: str
    """The base of the origin."""
    proxy_url: str | None
    """The base of the same origin behind the proxy; None measures only the origin."""
    network: Network
    """The network that the link simulates."""
    link: Link
    """The place of the link."""
    admin_url: str | None = None
    """The admin listener, if the proxy is ours; None skips what only ours can do."""
    has_jls: bool = False
    """True if the origin also has JPEG-LS, whole and reduced."""
    outbound: Outbound | None = None
    """The HTTP proxy on the way to the origin; None if there is none."""
    stack_samples: int = SAMPLES
    """Loads of a stack, for the median."""
    volume_samples: int = 1
    """Loads of a volume, for the median."""
    is_short: bool = False
    """Only the ways of `SHORT`."""


async def measure(setup: Setup) -> AsyncIterator[Row]:
    """Yields each row as soon as it is measured. Raises `MeasureError`."""
    async with (
        Server(setup.direct_url, outbound=setup.outbound) as origin,
        Server(setup.proxy_url or setup.direct_url) as proxy,
        Server(setup.admin_url or setup.direct_url) as admin,
    ):
        for subject in setup.subjects:
            bench = _Bench(setup, subject, _viewers(origin), _viewers(proxy), admin)
            rows = _rows(setup, subject)
            for way, cache in [row for row in rows if not setup.is_short or row[0] in SHORT[subject.kind]]:
                try:
                    yield await bench.row(way, cache)
                except ProxyError as error:
                    raise MeasureError(f"{subject.image}, {way}, {_named(cache)}: {error}") from error


def _rows(setup: Setup, subject: Subject) -> Iterator[tuple[str, Cache]]:
    """Yields the rows of a subject: ways of viewers first, then what only our proxy can do."""
    ways = [way.value for way in WAYS[subject.kind]] + ([JLS_WHOLE, JLS_REDUCED] if setup.has_jls else [])
    for way in ways + ([] if setup.admin_url is None else [OPEN]):
        for cache in Cache if setup.proxy_url else (Cache.NONE,):
            yield way, cache
    if setup.admin_url is None:
        return
    own = (JLS_MADE, CUT) if setup.has_jls else (CUT,)
    yield from ((way, cache) for way in own for cache in (Cache.COLD, Cache.HOT))
    if setup.link is Link.ORIGIN:
        yield from ((plan, Cache.COLD) for plan in PLANS[subject.kind])


def _viewers(server: Server) -> tuple[Viewer, Viewer]:
    """Returns a viewer of frames and a viewer of JPEG-LS frames."""
    return Viewer(server), Viewer(server, JLS, JLS_ACCEPTS)


def _is_jls(way: str) -> bool:
    """True if the whole frames of a way are JPEG-LS."""
    return way in (JLS_WHOLE, JLS_REDUCED)


def _named(cache: Cache) -> str:
    return "direct" if cache is Cache.NONE else f"proxy {cache}"


@dataclass(slots=True)
class _Bench:
    """Measures one subject in one way after another; the direct load of a way comes before the proxy's."""

    setup: Setup
    subject: Subject
    direct: tuple[Viewer, Viewer]
    proxy: tuple[Viewer, Viewer]
    admin: Server
    nonce: str = ""
    digests: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    resolutions: dict[int, str | None] = field(default_factory=dict)

    async def row(self, way: str, cache: Cache) -> Row:
        if way == OPEN:
            return await self._opened(cache)
        is_stack = self.subject.kind is Kind.STACK
        count = self.setup.stack_samples if is_stack else self.setup.volume_samples
        loads = [await self._load(way, cache, sample) for sample in range(count)]
        return await self._summed(way, cache, loads)

    async def _opened(self, cache: Cache) -> Row:
        found = [await self._open(cache) for _ in range(self.setup.stack_samples)]
        row = await self._summed(OPEN, cache, [each.loaded for each in found])
        row = replace(row, first_resolution=None, seen_ms=None, seen_limit_ms=None)
        if row.first_limit_ms is None:
            return row
        one, network = found[0], self.setup.network
        lists = sum(one.lists)
        first, final = (one.limit(network, size - lists) * 1e3 for size in (row.first_bytes, row.size))
        return replace(row, first_limit_ms=first, final_limit_ms=final)

    async def _open(self, cache: Cache) -> Opened:
        """Opens the study of the first frame."""
        path = self.subject.paths[0]
        if cache is Cache.COLD:
            await self.admin.purge(parse_frame_path(path).study)
            self.nonce = secrets.token_hex(8)
        viewer, nonce = (self.direct[0], "") if cache is Cache.NONE else (self.proxy[0], self.nonce)
        for _ in range(HOT_TRIES):
            opened = await open_study(viewer, path, nonce)
            if opened.loaded.digests != self.digests.setdefault(OPEN, opened.loaded.digests):
                raise OriginMismatch("the frame differs from the one that the origin sent first", "body")
            if cache is not Cache.HOT or opened.loaded.is_hit is not False:
                return opened
        raise OriginMismatch("still no hit", "cache")

    async def _load(self, way: str, cache: Cache, sample: int) -> Loaded:
        match cache:
            case Cache.NONE:
                loaded = await self._asked(self.direct, way, "")
            case Cache.COLD:
                self.nonce = secrets.token_hex(8)
                loaded = await self._load_through(way, sample)
            case Cache.HOT:
                loaded = await self._load_hot(way, sample)
        form = "jls" if _is_jls(way) else "frames"
        if loaded.digests != self.digests.setdefault(form, loaded.digests):
            raise OriginMismatch("the frames differ from those that the origin sent first", "body")
        return loaded

    async def _load_hot(self, way: str, sample: int) -> Loaded:
        for _ in range(HOT_TRIES):
            loaded = await self._load_through(way, sample)
            if loaded.is_hit is not False:
                return loaded
        raise OriginMismatch("still no hit: the cache may be smaller than the series", "cache")

    async def _load_through(self, way: str, sample: int) -> Loaded:
        if way in PLANS[self.subject.kind]:
            return await load_by_plan(self.admin, self.proxy[0], self.subject.paths, way, sample)
        return await self._asked(self.proxy, way, self.nonce)

    async def _asked(self, viewers: tuple[Viewer, Viewer], way: str, nonce: str) -> Loaded:
        viewer, paths = viewers[_is_jls(way)], self.subject.paths
        if way in TWICE:
            return await load_twice(viewer, paths, way, nonce)
        return await viewer.load(paths, Way.WHOLE if way == JLS_WHOLE else Way(way), nonce)

    async def _summed(self, way: str, cache: Cache, loads: list[Loaded]) -> Row:
        one, is_volume = loads[0], self.subject.kind is Kind.VOLUME
        return Row(
            subject=self.subject,
            way=way,
            is_plan=way in PLANS[self.subject.kind],
            cache=cache,
            link=self.setup.link,
            network=self.setup.network,
            first_bytes=one.first_bytes,
            size=one.size,
            first_resolution=await self._resolution(one),
            first_ms=statistics.median(load.first for load in loads) * 1e3,
            seen_ms=statistics.median(load.seen for load in loads) * 1e3 if is_volume else None,
            final_ms=statistics.median(load.final for load in loads) * 1e3,
            first_limit_ms=self._limit(cache, one.first_bytes),
            seen_limit_ms=self._limit(cache, one.seen_bytes) if is_volume else None,
            final_limit_ms=self._limit(cache, one.size),
            samples=tuple(Sample(load.first * 1e3, load.final * 1e3) for load in loads),
        )

    def _limit(self, cache: Cache, size: int) -> float | None:
        is_crossed = cache is not Cache.HOT or self.setup.link is Link.VIEWER
        return self.setup.network.limit(size) * 1e3 if is_crossed and self.setup.network.is_shaped else None

    async def _resolution(self, loaded: Loaded) -> str | None:
        if loaded.first_size is not None:
            width, height = loaded.first_size
            return f"{width}x{height} (1/{round(self.subject.columns / width)})"
        have = loaded.first_codestream
        if have not in self.resolutions:
            self.resolutions[have] = await proved_resolution(loaded.codestream, have)
        return self.resolutions[have]

"""The frames of a series, from its metadata, fetched once and kept for a short time (PS3.18 10.4).

The lists are kept apart for each partition of callers, because an origin may show different instances to
different users. A caller whom the origin did not let read yet asks for itself.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from time import monotonic

from proxy.access.caller import ASKED
from proxy.cache.kept import NAME, Kept, Ledger, size_of
from proxy.errors import OriginMismatch, OriginRefused
from proxy.fetch.metadata import Metadata
from proxy.frame.key import FrameKey, SeriesKey
from proxy.frame.scope import FrameScope
from proxy.frame.supply import Headers
from proxy.plan.choice import SeriesFacts
from proxy.wire.dicomjson import order_of
from proxy.wire.display import Display
from proxy.wire.instance import InstanceFacts, InstanceReader, without_others
from proxy.wire.json_in_windows import read_in_windows
from proxy.wire.pixels import ImagePixel
from proxy.wire.resource import FrameResource

KEPT = 60.0
"""Seconds for which a list of frames is kept."""
MOST_KEPT = 64
"""Maximum number of lists that are kept."""
MOST_FRAMES = 100_000
"""Maximum number of frames in a series; a longer series is refused."""


@dataclass(frozen=True, slots=True)
class SeriesFrames:
    """The frames of a series in the order of its slices. Places count from 0, frame numbers from 1."""

    key: SeriesKey
    """The series."""
    instances: tuple[str, ...]
    """SOPInstanceUIDs, in order."""
    ends: tuple[int, ...]
    """For each instance, the number of frames up to and including it."""
    modality: str
    """Modality of the first instance; empty if the metadata has none."""
    transfer_syntax: str
    """Transfer syntax UID of the first instance; empty if the metadata has none."""
    pixels: tuple[ImagePixel | None, ...] = ()
    """For each instance, how its pixels are stored; None if the metadata does not say."""
    displays: tuple[tuple[Display, ...], ...] = ()
    """For each instance, how its pixels are shown: one entry a frame, or one for all frames."""
    description: str = ""
    """SeriesDescription of the first instance; empty if the metadata has none."""
    body_part: str = ""
    """BodyPartExamined of the first instance; empty if the metadata has none."""
    size: tuple[int, int] | None = None
    """Rows and columns of the first instance; None if the metadata has none."""
    held: int = field(default=0, compare=False)
    """Bytes of all of this in memory; 0 if they were not counted."""

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    @property
    def facts(self) -> SeriesFacts:
        """The facts by which profiles are chosen."""
        described = self.description, self.body_part, self.size
        return SeriesFacts(self.modality, self.transfer_syntax, len(self), *described)

    def resource(self, image: int) -> FrameResource:
        """The frame at a place, counted from 0."""
        at = bisect_right(self.ends, image)
        before = self.ends[at - 1] if at else 0
        return FrameResource(self.key.study, self.key.series, self.instances[at], image - before + 1)

    def pixel_of(self, resource: FrameResource) -> ImagePixel | None:
        """How the pixels of a frame are stored; None if the metadata does not say."""
        by_instance = dict(zip(self.instances, self.pixels, strict=True))
        return by_instance.get(resource.instance)

    def display_of(self, resource: FrameResource) -> Display:
        """How the pixels of a frame are shown."""
        by_frame = dict(zip(self.instances, self.displays, strict=True))[resource.instance]
        return by_frame[min(resource.frame_number, len(by_frame)) - 1]

    def frames_of(self, instance: str) -> int:
        """The number of frames of an instance; 0 if it is not in this series."""
        if instance not in self.instances:
            return 0
        at = self.instances.index(instance)
        return self.ends[at] - (self.ends[at - 1] if at else 0)

    def place_of(self, resource: FrameResource) -> int | None:
        """The place of a frame, counted from 0; None if it is not in this series."""
        if (resource.study, resource.series) != (self.key.study, self.key.series):
            return None
        try:
            at = self.instances.index(resource.instance)
        except ValueError:
            return None
        place = (self.ends[at - 1] if at else 0) + resource.frame_number - 1
        return place if place < self.ends[at] else None


@dataclass(frozen=True, slots=True)
class ListedFrames:
    """Frames that a request named one by one."""

    key: SeriesKey
    """The series of the frames."""
    resources: tuple[FrameResource, ...]
    """The frames in the order in which they were named."""
    transfer_syntax: str = ""
    """Always empty, because it is not known."""

    def __len__(self) -> int:
        return len(self.resources)

    def resource(self, image: int) -> FrameResource:
        """The frame at a place, counted from 0."""
        return self.resources[image]


def read_frames(key: SeriesKey, chunks: Sequence[bytes]) -> SeriesFrames:
    """Reads the frames of a series from the body of its metadata. Raises `OriginMismatch` if it is not valid.

    An instance whose UID can't be part of a path is left out. The other instances are read all the same.
    """
    try:
        read = read_in_windows(chunks, InstanceReader().read, without_others)
    except ValueError as error:
        raise OriginMismatch(f"the series metadata is not JSON: {error}", "metadata") from error
    frames = frames_of(key, read)
    return replace(frames, held=size_of(frames))


def frames_of(key: SeriesKey, read: object) -> SeriesFrames:
    """The frames of a series from its instances as `read`. Raises `OriginMismatch` if it is not valid."""
    if not isinstance(read, list):
        raise OriginMismatch("the series metadata is not a list of instances", "metadata")
    instances: list[InstanceFacts] = [each for each in read if each is not None]
    if not instances:
        raise OriginMismatch("the series metadata has no instances", "metadata")
    ordered = [instances[at] for at in order_of([each.place for each in instances])]
    ends = tuple(accumulate(each.frames for each in ordered))
    if ends[-1] > MOST_FRAMES:
        raise OriginMismatch(f"the series has more than {MOST_FRAMES} frames", "metadata")
    return SeriesFrames(
        key,
        tuple(each.uid for each in ordered),
        ends,
        ordered[0].modality,
        ordered[0].transfer_syntax,
        tuple(each.pixel for each in ordered),
        tuple(each.displays for each in ordered),
        ordered[0].description,
        ordered[0].body_part,
        ordered[0].size,
    )


_Entry = tuple[float, asyncio.Future[SeriesFrames] | None]
"""The time from which a list is fetched anew, and the list, or the request for it."""
NEVER: _Entry = 0.0, None
REQUEST = 10_000
"""Bytes of a request that runs, about."""


def _size_of(_key: SeriesKey, entry: _Entry) -> int:
    asked = entry[1]
    is_good = asked is not None and asked.done() and not asked.cancelled() and asked.exception() is None
    return NAME + (asked.result().held if asked is not None and is_good else REQUEST)


MOST_BEHIND = 64
"""Lists that are being fetched, beyond which no other is fetched for which nobody waits."""


class SeriesLists:
    """The lists of frames that were requested lately."""

    def __init__(self, metadata: Metadata, ledger: Ledger | None = None) -> None:
        self._metadata = metadata
        self._under_way = 0
        self._kept: Kept[SeriesKey, _Entry] = Kept(ledger, MOST_KEPT, _size_of)

    @property
    def is_busy(self) -> bool:
        """True if so many lists are being fetched that none is, for which nobody waits."""
        return self._under_way >= MOST_BEHIND

    def held(self, key: SeriesKey) -> SeriesFrames | None:
        """The list of a series, if it is held; else None. The origin is not asked."""
        _, kept = self._kept.get(key) or NEVER
        is_good = kept is not None and kept.done() and not kept.cancelled() and kept.exception() is None
        return kept.result() if kept is not None and is_good else None

    def has(self, key: FrameKey) -> bool | None:
        """True if a frame exists, according to metadata that is held and fresh; None if that is not known.

        Metadata without NumberOfFrames is read as one frame, so a count of one does not decide it.
        """
        series = key.series
        held = self.held(series)
        until, _ = self._kept.get(series) or NEVER
        if held is None or monotonic() > until:
            return None
        number = held.frames_of(key.resource.instance)
        return key.resource.frame_number <= number if number > 1 else None

    def facts(self, key: SeriesKey, credentials: Headers, identity: bytes = b"") -> SeriesFacts | None:
        """The facts of a series; if they are not held, returns None and fetches them in the background."""
        held = self.held(key)
        until, kept = self._kept.get(key) or NEVER
        is_wanted = kept is None or (kept.done() and (held is None or monotonic() > until))
        if is_wanted and not self.is_busy:
            self._ask(key, credentials, identity)
        return None if held is None else held.facts

    async def get(
        self, key: SeriesKey, credentials: Headers, identity: bytes = b"", *, may_share: bool = True
    ) -> SeriesFrames:
        """Returns the frames of a series. Callers that wait share one request. Raises `OriginError`.

        A caller that may not `share` gets only what the origin lets it read, whom `identity` names.
        """
        until, kept = self._kept.get(key) or NEVER
        is_free = kept is None or monotonic() > until or (kept.done() and self.held(key) is None)
        if not (may_share or is_free):
            return await self._read(key, credentials, identity)
        if kept is None or is_free:
            return await asyncio.shield(self._ask(key, credentials, identity))
        try:
            return await asyncio.shield(kept)  # a caller that leaves does not stop the others
        except OriginRefused:
            if key.partition != ASKED:
                raise
        return await self.get(
            key, credentials, identity, may_share=may_share
        )  # the refusal was another caller's

    def _ask(self, key: SeriesKey, credentials: Headers, identity: bytes) -> asyncio.Future[SeriesFrames]:
        def over(done: asyncio.Future[SeriesFrames]) -> None:
            self._under_way -= 1
            # An exception would keep the credentials, through its traceback.
            is_kept = not done.cancelled() and done.exception() is None
            entry = self._kept.pop(key) if (self._kept.get(key) or NEVER)[1] is done else None
            if entry is not None and is_kept:
                self._kept.put(key, entry)  # its bytes are known now

        self._under_way += 1
        asked = asyncio.ensure_future(self._read(key, credentials, identity))
        asked.add_done_callback(over)
        self._kept.put(key, (monotonic() + KEPT, asked))
        return asked

    def forget(self, named: FrameScope) -> None:
        """Drops the lists of series that a scope touches. A caller that waits for one still gets it."""
        for key in self._kept:
            if named.touches(key.origin, key.study, key.series):
                self._kept.pop(key)

    def close(self) -> None:
        """Cancels the requests that run."""
        for _, (_, kept) in self._kept.oldest():
            if kept is not None:
                kept.cancel()

    async def _read(self, key: SeriesKey, credentials: Headers, identity: bytes) -> SeriesFrames:
        return await self._metadata.read(key, credentials, partial(read_frames, key), identity)

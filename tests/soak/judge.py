"""Checks every response of the soak, and counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import httpx

from proxy.wire.ranges import ContentRange, parse_content_range
from tests.soak import frames
from tests.soak.rights import is_good, may_read

TTL = 30.0
"""The proxy's `cache.ttl`, in seconds. So long it may use a copy, and a right that the origin withdrew."""
STALE = 30.0
"""The proxy's `cache.stale`, in seconds. So long it may use a copy after that if the origin fails."""
SLOWEST = 15.0
"""Seconds that the slowest fetch may take. A copy is as old as its last byte."""
LOOK_BACK = 20.0
"""Seconds before a request in which faults of the origin can concern the response."""
MOST_TOLD = 20
"""Faults that are described; the others are only counted."""

Ways = Sequence[str]
"""The ways in which the origin failed for the frames of a response, since `LOOK_BACK` before it."""


@dataclass
class Heard:
    """A request and the response to it."""

    paths: tuple[str, ...]
    """The frames that it asks for."""
    authorization: str
    asked: float
    """When the viewer asked, in seconds of the monotonic clock."""
    sent: dict[str, str]
    """The headers of the request."""
    method: str = "GET"
    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)
    ended: float = 0.0
    how: Literal["whole", "left", "cut", "hangs"] = "cut"

    @property
    def study(self) -> int:
        return frames.study_of(self.paths[0])

    @property
    def is_broken(self) -> bool:
        """True if it is an error, or ended early."""
        return self.how in ("cut", "hangs") or self.status >= 400

    def __str__(self) -> str:
        names = ("etag", "content-range", "content-length", "cache-status", "problem")
        said = {name: self.headers[name] for name in names if name in self.headers}
        told = f"{self.status} {said}, {len(self.body)} bytes, {self.how}, {self.ended - self.asked:.1f} s"
        return f"{self.method} {', '.join(self.paths)} {self.sent} by {self.authorization}: {told}"


class Judge:
    """Hears all responses."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.counts: Counter[str] = Counter()
        """Faults, and the cuts and errors with what explains them."""
        self.faults: list[str] = []
        """Descriptions of the first faults."""
        self._of_tag: dict[tuple[str, str], set[int]] = {}

    @property
    def is_well(self) -> bool:
        return not any(self.counts[kind] for kind in FAULTS)

    def hear(self, heard: Heard, ways: Ways = ()) -> None:
        """Checks one response. `ways` are needed only if it is broken."""
        self.statuses[heard.status] += 1
        self.counts["bytes"] += len(heard.body)
        if 200 <= heard.status < 400:
            self._is_for_its_reader(heard)
            self._is_right(heard)
        if heard.how == "hangs":
            self._fault("without an end", heard)
        elif heard.how == "cut":
            self._explain("cut", heard, ways, _why_cut(heard, ways))
        elif heard.status >= 400:
            self._explain("error", heard, ways, _why_error(heard, ways))

    def _is_for_its_reader(self, heard: Heard) -> None:
        if not may_read(heard.authorization, heard.study, heard.asked - TTL - SLOWEST, heard.ended):
            self._fault("for who may not", heard)

    def _is_right(self, heard: Heard) -> None:
        kind = heard.headers.get("content-type", "")
        if heard.status == 304:
            is_right = bool(self._narrow(heard, heard.sent["if-none-match"], _current(heard)))
        elif kind.startswith("multipart/related"):
            is_right = _are_parts(heard, kind.partition("boundary=")[2].strip('"').encode())
        else:
            is_right = self._is_of_its_version(heard)
        if not is_right:
            self._fault("wrong bytes", heard)

    def _is_of_its_version(self, heard: Heard) -> bool:
        """True if a single part has the bytes of the one version that its ETag names."""
        said, tag = _announced(heard), heard.headers.get("etag")
        is_whole = heard.how == "whole" and heard.method == "GET"
        if said is None or tag is None or (is_whole and len(heard.body) != _length(said)):
            return False
        (path,) = heard.paths
        fitting = {number for number in _current(heard) if _fits(frames.body(path, number), said, heard.body)}
        return bool(fitting and self._narrow(heard, tag, fitting))

    def _narrow(self, heard: Heard, tag: str, fitting: Iterable[int]) -> set[int]:
        """The versions that an ETag can still name, now that these fit."""
        known = self._of_tag.setdefault((heard.paths[0], tag), set(fitting))
        known &= set(fitting)
        return known

    def _fault(self, kind: str, heard: Heard, ways: Ways = ()) -> None:
        self.counts[kind] += 1
        if len(self.faults) < MOST_TOLD:
            self.faults.append(f"{kind}: {heard}, the origin: {', '.join(ways) or 'no fault'}")

    def _explain(self, kind: str, heard: Heard, ways: Ways, why: str) -> None:
        if why:
            self.counts[f"{kind}: {why}"] += 1
        else:
            self._fault(f"{kind} without reason", heard, ways)


FAULTS = ("wrong bytes", "for who may not", "without an end", "cut without reason", "error without reason")
"""Kinds that no soak may have."""


def _current(heard: Heard) -> range:
    """The versions that a response may be of."""
    (path,) = heard.paths
    return _versions(path, heard)


def _versions(path: str, heard: Heard) -> range:
    oldest = frames.version(path, heard.asked - _lifetime(heard) - SLOWEST)
    return range(oldest, frames.version(path, heard.ended) + 1)


def _lifetime(heard: Heard) -> float:
    """Seconds for which the proxy may use a copy for this response."""
    return TTL + STALE * ("stale-if-error" in heard.headers.get("cache-status", ""))


def _announced(heard: Heard) -> ContentRange | None:
    """The bytes that a single part says it has."""
    if heard.status == 206:
        return parse_content_range(heard.headers.get("content-range", ""))
    size = int(heard.headers.get("content-length", "-1"))
    return ContentRange(0, size, size)


def _length(said: ContentRange) -> int:
    return said.stop - said.start


def _fits(body: bytes, said: ContentRange, seen: bytearray) -> bool:
    return len(body) == said.total and body.startswith(bytes(seen), said.start) and len(seen) <= _length(said)


def _are_parts(heard: Heard, boundary: bytes) -> bool:
    """True if the parts of a list are the frames that were asked for, in their order."""
    delimiter = b"\r\n--" + boundary
    parts = (b"\r\n" + bytes(heard.body)).split(delimiter)[1:]
    is_ended = bool(parts) and parts[-1].startswith(b"--")
    if is_ended:
        parts.pop()
    is_short = heard.how == "whole" and not (is_ended and len(parts) == len(heard.paths))
    if is_short or len(parts) > len(heard.paths):
        return False
    for place, (path, part) in enumerate(zip(heard.paths, parts, strict=False), 1):
        is_last = place == len(parts) and not is_ended
        _, _, seen = part.partition(b"\r\n\r\n")
        known = (frames.body(path, number) for number in _versions(path, heard))
        if not any((each + delimiter).startswith(seen) if is_last else each == seen for each in known):
            return False
    return True


def _why_error(heard: Heard, ways: Ways) -> str:
    """The reason for a status above 399. Empty if there is none."""
    if heard.status in (401, 403):
        since = heard.asked - LOOK_BACK
        return "" if is_good(heard.authorization, heard.study, since, heard.ended) else "no right"
    if heard.status == 416:
        return "another version" if "if-range" in heard.sent else _why_no_range(heard)
    if ways:
        return f"{heard.status} after a fault"
    if heard.status == 502 and _has_changed(heard):
        return "another version"
    return ""


def _why_no_range(heard: Heard) -> str:
    """The reason for a 416 to a range that has no end: the frame is shorter."""
    start = int(heard.sent["range"].removeprefix("bytes=").partition("-")[0])
    total = int(heard.headers["content-range"].removeprefix("bytes */"))
    is_known = any(len(frames.body(heard.paths[0], number)) == total for number in _current(heard))
    return "the frame is shorter" if is_known and start >= total else ""


def _why_cut(heard: Heard, ways: Ways) -> str:
    """The reason for a cut. Empty if the proxy could have gone on."""
    if not is_good(heard.authorization, heard.study, heard.asked - LOOK_BACK, heard.ended):
        return "right withdrawn"
    if _has_changed(heard):
        return "another version"
    times = Counter(ways)
    broken = times["hung up"] + times["reset"]
    for way, most in (("missing", 0), ("wrong range", 0), ("failed", 1)):
        if times[way] > most:
            return f"the origin's response was {way!r}"
    if broken >= 2:
        return "hung up twice"
    if broken and any(frames.nature(path).guard != "strong" for path in heard.paths):
        return "hung up, no strong validator"
    return ""


def _has_changed(heard: Heard) -> bool:
    return any(
        frames.version(path, heard.asked - TTL - SLOWEST) != frames.version(path, heard.ended)
        for path in heard.paths
    )


def ways_of(heard: Heard, records: Iterable[tuple[float, str]]) -> list[str]:
    """The origin's faults that can concern a response."""
    return [way for at, way in records if heard.asked - LOOK_BACK <= at <= heard.ended]

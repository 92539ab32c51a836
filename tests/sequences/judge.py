"""The properties that responses to viewers must have."""

from dataclasses import dataclass, field
from typing import Literal

import httpx

from proxy.wire.multipart import wrap
from proxy.wire.ranges import Span, parse_content_range, parse_range
from tests.sequences.values import Ask, Sequence
from tests.sequences.versions import cut_of, label_of, versions

KEPT = ("content-range", "content-length", "content-type", "etag", "resolution", "cache-status", "problem")


@dataclass
class Heard:
    """A viewer's request and the response to it."""

    ask: Ask
    tag: str
    """The ETag that the request's condition names."""
    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""
    how: Literal["whole", "left", "cut"] = "cut"

    def __str__(self) -> str:
        said = {name: self.headers[name] for name in KEPT if name in self.headers}
        return f"{self.ask}, {self.tag}: {self.status} {said}, {len(self.body)} bytes, {self.how}"


class Judge:
    """Checks the responses of one sequence. Raises `AssertionError`."""

    def __init__(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self._tags: dict[int, list[str]] = {}
        self._of_tag: dict[tuple[int, str], set[int]] = {}

    def tag(self, frame: int, *, is_stale: bool) -> str:
        """The newest ETag seen for a frame. With `is_stale`, the oldest, or a made-up one if none exists."""
        tags = self._tags.get(frame, ['"never-s"' if is_stale else ""])
        return tags[0 if is_stale else -1]

    def hear(self, heard: Heard) -> None:
        """Checks one more response."""
        status, etag = heard.status, heard.headers.get("etag", "")
        if self._sequence.is_tame:
            assert status in (200, 206, 304, 416), f"an error that the origin did not make: {heard}"
            assert heard.how != "cut", f"cut, and not by the origin: {heard}"
        assert status not in (0, 400, 500), f"the proxy is to blame: {heard}"
        if status in (200, 206):
            self._is_of_one_version(heard, etag)
            self._tags.setdefault(heard.ask.frame, []).append(etag)
        if heard.ask.condition == "if-none-match" and heard.tag:
            assert status == 304 or heard.tag != etag, f"If-None-Match: {heard}"
            if status == 304:
                self._are_of_one_version(heard, etag)
        else:
            assert status != 304, str(heard)

    def _is_of_one_version(self, heard: Heard, etag: str) -> None:
        """Checks that all responses with this ETag can be of one version."""
        start, total = self._announced(heard)
        known = versions(heard.ask.frame, are_twins=self._sequence.has_twins, form=self._sequence.form)
        fitting = {number for number, each in enumerate(known) if self._fits(heard, each, start, total)}
        assert fitting, f"of no version: {heard}"
        of_tag = self._versions_of(heard, etag)
        of_tag &= fitting
        assert of_tag, f"not of the version that its ETag had before: {heard}"

    def _are_of_one_version(self, heard: Heard, etag: str) -> None:
        """Checks that the ETags of a copy, before and after it is complete, can be of one version."""
        asked, told = self._versions_of(heard, heard.tag), self._versions_of(heard, etag)
        told &= asked
        assert told, f"a 304 for another version: {heard}"

    def _versions_of(self, heard: Heard, etag: str) -> set[int]:
        """The versions that an ETag can name."""
        known = versions(heard.ask.frame, are_twins=self._sequence.has_twins, form=self._sequence.form)
        return self._of_tag.setdefault((heard.ask.frame, etag.partition("-")[0]), set(range(len(known))))

    def _announced(self, heard: Heard) -> tuple[int, int]:
        """The offset at which the body starts, and the length of the whole."""
        size = int(heard.headers["content-length"])
        if heard.how == "whole" and heard.ask.method == "GET":
            assert len(heard.body) == size, f"not what was announced: {heard}"
        if heard.status == 200:
            is_other = heard.tag and heard.ask.range.startswith("0-")
            assert is_other or not heard.ask.range or heard.ask.method == "HEAD", f"not a range: {heard}"
            return 0, size
        said = parse_content_range(heard.headers["content-range"])
        asked = parse_range(f"bytes={heard.ask.range}")
        assert said is not None, str(heard)
        assert said.total is not None, str(heard)
        assert asked is not None, str(heard)
        assert asked.resolve(said.total) == Span(said.start, said.stop), f"another range: {heard}"
        assert said.stop - said.start == size, str(heard)
        if heard.tag:
            is_same = heard.ask.condition == "if-range" and heard.headers["etag"] == heard.tag
            assert is_same, f"a range of another version: {heard}"
            assert heard.tag.startswith('"'), f"a range that a weak ETag guards: {heard}"
        return said.start, said.total

    def _fits(self, heard: Heard, codestream: bytes, start: int, total: int) -> bool:
        """True if a response can be of this version."""
        inner = cut_of(codestream, heard.headers.get("resolution", ""))
        before = after = b""
        if "multipart" in heard.headers["content-type"]:
            wrapping = wrap(
                heard.headers["content-type"].partition("boundary=")[2],
                label_of(codestream, self._sequence.form),
            )
            before, after = wrapping.before, wrapping.after
        size = total - len(before) - len(after)
        if size != len(inner) and not (self._sequence.has(ranges="total") and size == len(inner) + 1):
            return False
        return (before + inner.ljust(size, b"?") + after).startswith(heard.body, start)

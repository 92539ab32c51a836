"""One frame as it arrives at the viewer. Pure: headers and chunks go in, timestamps come out.

    asked ── begin ─► arriving ── take … ─► end ──► whole
                        ▲                    │ a first range, and more to come
                        └────── begin ───────┘

A response counts only if status, Content-Range, total and length agree. Anything else is an error, because a
viewer that appends such a response would show a broken picture.
"""

import hashlib
from collections.abc import Mapping

from proxy.errors import OriginFailed, OriginHungUp, OriginMismatch, OriginRefused
from proxy.wire.multipart import PartReader
from proxy.wire.ranges import ContentRange, Span, parse_content_range

FIRST = 65536
"""Bytes of the first fetch. A streaming viewer waits for as many before it decodes."""
MAX_FRAME = 256 * 1024 * 1024
"""Bytes of one frame; a larger one is refused."""


class MeasuredPicture:
    """One frame, from the first request to its last byte. Times are seconds of the caller's clock."""

    def __init__(self, *, is_progressive: bool) -> None:
        self._is_progressive = is_progressive
        self._part: PartReader | None = None
        self._chunks: list[bytes] = []
        self._arrivals: list[tuple[float, int]] = []  # when, and bytes of the codestream from 0 by then
        self._stop: int | None = None
        self.received = 0
        """Bytes of the body so far, including the envelope."""
        self.total: int | None = None
        """Bytes of the whole body, once known."""
        self.first_at: float | None = None
        """When the bytes of the first picture had arrived."""
        self.first_bytes = 0
        """Bytes of the body that the first picture took."""
        self.first_codestream = 0
        """Bytes of the codestream in `first_bytes`."""
        self.whole_at: float | None = None
        """When every byte had arrived."""

    def codestream(self) -> bytes:
        """Returns the bytes of the codestream that have arrived."""
        return b"".join(self._chunks)

    def digest(self) -> bytes:
        """Returns the SHA-256 of the bytes that have arrived."""
        digest = hashlib.sha256()
        for chunk in self._chunks:
            digest.update(chunk)
        return digest.digest()

    def had_at(self, size: int) -> float:
        """Returns when the first `size` bytes of the codestream had arrived; `size` must not exceed them."""
        return next(at for at, have in self._arrivals if have >= size)

    def begin(self, status: int, headers: Mapping[str, str], asked: Span | None) -> None:
        """Takes the head of a response to the range `asked`; None is a plain GET. Raises `OriginError`."""
        check_status(status, (200,) if asked is None else (200, 206))
        if status == 206:
            self._believe(headers, asked or Span(0, None))
        elif self.received:
            raise OriginMismatch("the origin answered a later range with 200 and the whole frame", "status")
        else:
            length = headers.get("content-length", "")
            self._stop = self.total = int(length) if length.isascii() and length.isdigit() else None
        if not self.received and headers.get("content-type", "").lower().startswith("multipart/"):
            self._part = PartReader()

    def take(self, chunk: bytes, now: float) -> None:
        """Takes a chunk of the body. Raises `OriginMismatch` if the body is longer than announced."""
        if self._is_progressive and self.first_at is None and self.received + len(chunk) >= FIRST:
            at = FIRST - self.received
            self._append(chunk[:at], now)
            self._mark_first(now)
            chunk = chunk[at:]
        self._append(chunk, now)
        if self.received > (MAX_FRAME if self._stop is None else self._stop):
            raise OriginMismatch("the origin sent more bytes than it announced", "length")

    def end(self, now: float) -> None:
        """Takes the end of a response. Raises `OriginHungUp` if bytes are missing."""
        if self._stop is not None and self.received < self._stop:
            raise OriginHungUp(f"the response ended {self._stop - self.received} bytes early")
        self.total = self.received if self.total is None else self.total
        if self.received == self.total:
            self.whole_at = now
            if self._part is not None:
                self._keep(self._part.finish(), now)
        if self.first_at is None:
            self._mark_first(now)

    def _believe(self, headers: Mapping[str, str], asked: Span) -> None:
        got = parse_content_range(headers.get("content-range", ""))
        if got is None or got.total is None or self.total not in (None, got.total):
            raise OriginMismatch("the 206 has no Content-Range with a total", "content_range")
        stop = got.total if asked.stop is None else min(asked.stop, got.total)
        if got != ContentRange(asked.start, stop, got.total):
            raise OriginMismatch(f"{asked.to_header()} was answered by {got.to_header()}", "content_range")
        self._stop, self.total = got.stop, got.total

    def _append(self, chunk: bytes, now: float) -> None:
        self.received += len(chunk)
        self._keep(chunk if self._part is None else self._part.feed(chunk), now)

    def _keep(self, chunk: bytes, now: float) -> None:
        self._chunks.append(chunk)
        self._arrivals.append((now, self._have + len(chunk)))

    @property
    def _have(self) -> int:
        return self._arrivals[-1][1] if self._arrivals else 0

    def _mark_first(self, now: float) -> None:
        self.first_at, self.first_bytes = now, self.received
        self.first_codestream = self._have


def check_status(status: int, wanted: tuple[int, ...]) -> None:
    """Raises `OriginRefused` or `OriginFailed` if `status` is not one of `wanted`."""
    if status in wanted:
        return
    if 400 <= status < 500:
        raise OriginRefused(status)
    raise OriginFailed(f"the origin answered {status}")

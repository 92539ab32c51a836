"""One frame as it arrives at the viewer; pure: headers and chunks in, marks of time out.

    asked ── begin ─► arriving ── take … ─► end ──► whole
                        ▲                    │ a first range, and more to come
                        └────── begin ───────┘

An answer counts only if status, Content-Range, total and length agree; everything else is an error, as
a viewer that appends what it gets would show a broken picture.
"""

import hashlib
from collections.abc import Mapping

from proxy.errors import OriginFailed, OriginHungUp, OriginMismatch, OriginRefused
from proxy.wire.multipart import PartReader
from proxy.wire.ranges import ContentRange, Span, parse_content_range

FIRST = 65536
"""Bytes of the first fetch, and what a streaming viewer waits for before it decodes."""
MAX_FRAME = 256 * 1024 * 1024
"""Bytes of one frame; more is refused."""


class MeasuredPicture:
    """One frame, from the first request to its last byte. Times are of the caller's clock, in seconds."""

    def __init__(self, *, is_progressive: bool) -> None:
        self._is_progressive = is_progressive
        self._part: PartReader | None = None
        self._chunks: list[bytes] = []
        self._arrivals: list[tuple[float, int]] = []  # when, and bytes of the codestream from 0 by then
        self._stop: int | None = None
        self.received = 0
        """Bytes of the body so far, with an envelope where there is one."""
        self.total: int | None = None
        """Bytes of the whole body, once known."""
        self.first_at: float | None = None
        """When the bytes of the first picture were there."""
        self.first_bytes = 0
        """Bytes of the body that the first picture took."""
        self.first_codestream = 0
        """Bytes of the codestream among them."""
        self.whole_at: float | None = None
        """When every byte was there."""

    def codestream(self) -> bytes:
        """All of it that is here."""
        return b"".join(self._chunks)

    def digest(self) -> bytes:
        """SHA-256 of the same."""
        digest = hashlib.sha256()
        for chunk in self._chunks:
            digest.update(chunk)
        return digest.digest()

    def had_at(self, size: int) -> float:
        """When the first `size` bytes of the codestream were there; at most those that are here."""
        return next(at for at, have in self._arrivals if have >= size)

    def begin(self, status: int, headers: Mapping[str, str], asked: Span | None) -> None:
        """The head of an answer to what was `asked`, None being a plain GET. Raises `OriginError`."""
        check_status(status, (200,) if asked is None else (200, 206))
        if status == 206:
            self._believe(headers, asked or Span(0, None))
        elif self.received:
            raise OriginMismatch("the origin answered 200, the whole frame, to a later range", "status")
        else:
            length = headers.get("content-length", "")
            self._stop = self.total = int(length) if length.isascii() and length.isdigit() else None
        if not self.received and headers.get("content-type", "").lower().startswith("multipart/"):
            self._part = PartReader()

    def take(self, chunk: bytes, now: float) -> None:
        """Bytes of the body as they come. Raises `OriginMismatch`."""
        if self._is_progressive and self.first_at is None and self.received + len(chunk) >= FIRST:
            at = FIRST - self.received
            self._append(chunk[:at], now)
            self._mark_first(now)
            chunk = chunk[at:]
        self._append(chunk, now)
        if self.received > (MAX_FRAME if self._stop is None else self._stop):
            raise OriginMismatch("the origin sent more bytes than it had announced", "length")

    def end(self, now: float) -> None:
        """The end of an answer. Raises `OriginHungUp` where bytes are missing."""
        if self._stop is not None and self.received < self._stop:
            raise OriginHungUp(f"the answer ended {self._stop - self.received} bytes early")
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
            raise OriginMismatch("a 206 without a Content-Range that tells its total", "content_range")
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
    """Raises `OriginRefused` or `OriginFailed` for any other status."""
    if status in wanted:
        return
    if 400 <= status < 500:
        raise OriginRefused(status)
    raise OriginFailed(f"the origin answered {status}")

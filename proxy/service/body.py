"""The body of a request: how fast it has to arrive, and a parser that reads it apart from its head."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol

from httptools import HttpRequestParser

from proxy.errors import TooSlow

FRAMING = (b"content-length", b"transfer-encoding")
"""Headers that say where a body ends."""


@dataclass(slots=True)
class Pace:
    """How long a connection waits for more of a body. Times are in seconds.

    A viewer may be silent for `silence`. Each byte buys more time, but never more than that. So a body that
    arrives more slowly than `rate` uses up its time, even if it is never silent for long.

    >>> pace = Pace(silence=75, rate=4)
    >>> pace.begin(now=0)
    >>> pace.left_after(1, now=74)
    1.25
    """

    silence: float
    """Time without a byte after which a body is late."""
    rate: int
    """Least bytes per second; 0 is any rate."""
    _until: float = 0.0

    def begin(self, now: float) -> None:
        """Begins anew."""
        self._until = now + self.silence

    def left_after(self, size: int, now: float) -> float:
        """The time in which more has to arrive, if `size` bytes arrived now."""
        bought = size / self.rate if self.rate else self.silence
        self._until = min(self._until + bought, now + self.silence)
        return self._until - now

    @property
    def fault(self) -> TooSlow:
        """The error of a body that is late."""
        least = f", and {self.rate} bytes a second" if self.rate else ""
        return TooSlow(f"body: some of it every {self.silence:g} s{least}")


class Hearing(Protocol):
    """Hears what a parser reads of a body."""

    def on_body(self, body: bytes) -> None:
        """A part of the body."""

    def on_chunk_header(self) -> None:
        """A chunk begins."""

    def on_message_complete(self) -> None:
        """The body is whole."""


def parser_of_body(headers: Sequence[tuple[bytes, bytes]], hearing: Hearing) -> HttpRequestParser:
    """A parser that begins with the body of a request with these headers, and reports nothing else."""
    lines = [b"%s: %s\r\n" % pair for pair in headers if pair[0] in FRAMING]
    told = SimpleNamespace(
        on_body=hearing.on_body,
        on_chunk_header=hearing.on_chunk_header,
        on_message_complete=hearing.on_message_complete,
    )
    parser = HttpRequestParser(told)
    parser.feed_data(b"".join((b"POST / HTTP/1.1\r\n", *lines, b"\r\n")))
    return parser

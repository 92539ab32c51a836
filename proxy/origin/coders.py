"""Undoes and makes content codings, one piece at a time: gzip, deflate and zstd. Without I/O.

A decoder gives at most `PIECE` bytes at a time, and its window is bounded, whatever a body asks for. So a
small body that holds gigabytes takes as little memory as any other.
"""

import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 256 * 1024
"""Bytes that are undone at once."""
GZIP_LEVEL = 4
"""Level of gzip, 1 to 9."""
ZSTD_LEVEL = 3
"""Level of zstd, 1 to 22."""

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_WINDOW_LOG = 23
"""The largest window of zstd, as a power of two: 8 MiB (RFC 9659 3)."""

UNDONE = frozenset({*_WINDOWS, "zstd"})
"""The codings that can be undone."""


class Decoder(Protocol):
    """Undoes one coding."""

    @property
    def fault(self) -> type[Exception]:
        """The error for a body that is not in the coding."""

    @property
    def is_ended(self) -> bool:
        """True if the end of the coding was read."""

    @property
    def has_more(self) -> bool:
        """True if something came behind the end."""

    def first(self, chunk: bytes) -> bytes:
        """The first piece of a chunk that is not empty; empty if it holds none yet."""

    def next(self) -> bytes:
        """The next piece of the same chunk; empty if there is none."""


class Encoder(Protocol):
    """Makes one coding."""

    def feed(self, text: bytes) -> bytes:
        """Takes a piece, and returns what is ready."""

    def flush(self) -> bytes:
        """The rest of what was taken, so that all of that can be undone."""

    def end(self) -> bytes:
        """The end of the coding."""


def decoder_of(coding: str) -> Decoder:
    """A new decoder for one of `UNDONE`."""
    return _ZstdDecoder() if coding == "zstd" else _ZlibDecoder(_WINDOWS[coding])


def encoder_of(coding: str) -> Encoder:
    """A new encoder for `gzip` or `zstd`."""
    return _ZstdEncoder() if coding == "zstd" else _GzipEncoder()


def pieces_of(decoder: Decoder, chunk: bytes) -> Iterator[bytes]:
    """The pieces that a chunk holds."""
    piece = decoder.first(chunk) if chunk else b""
    while piece:
        yield piece
        piece = decoder.next()


def recoded(pieces: Iterable[bytes], before: str, after: str, most: int) -> tuple[bytes, ...] | None:
    """A sound body in another coding; None if it has more than `most` bytes without a coding. Takes long."""
    decoder, encoder, made, size = decoder_of(before), encoder_of(after), list[bytes](), 0
    for chunk in pieces:
        for piece in pieces_of(decoder, chunk):
            size += len(piece)
            if size > most:
                return None
            made.append(encoder.feed(piece))
    made.append(encoder.end())
    return tuple(filter(None, made))


class _ZlibDecoder:
    fault = zlib.error

    def __init__(self, window: int) -> None:
        self._window = window
        self._decoder = zlib.decompressobj(window)
        self._is_new = True

    def first(self, chunk: bytes) -> bytes:
        if self._is_new:
            self._is_new, self._decoder = False, zlib.decompressobj(_raw_if_bare(chunk, self._window))
        return self._decoder.decompress(chunk, PIECE)

    def next(self) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail, PIECE)

    @property
    def is_ended(self) -> bool:
        return self._decoder.eof

    @property
    def has_more(self) -> bool:
        return bool(self._decoder.unused_data)


class _ZstdDecoder:
    """One frame (RFC 8878 3.1)."""

    fault = zstd.ZstdError

    def __init__(self) -> None:
        options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG}
        self._decoder = zstd.ZstdDecompressor(options=options)
        self._is_behind = False

    def first(self, chunk: bytes) -> bytes:
        self._is_behind = self._decoder.eof
        return b"" if self._is_behind else self._decoder.decompress(chunk, PIECE)

    def next(self) -> bytes:
        is_done = self._decoder.eof or self._decoder.needs_input
        return b"" if is_done else self._decoder.decompress(b"", PIECE)

    @property
    def is_ended(self) -> bool:
        return self._decoder.eof

    @property
    def has_more(self) -> bool:
        return self._is_behind or bool(self._decoder.unused_data)


class _GzipEncoder:
    def __init__(self) -> None:
        self._encoder = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _WINDOWS["gzip"])

    def feed(self, text: bytes) -> bytes:
        return self._encoder.compress(text)

    def flush(self) -> bytes:
        return self._encoder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._encoder.flush()


class _ZstdEncoder:
    def __init__(self) -> None:
        self._encoder = zstd.ZstdCompressor(level=ZSTD_LEVEL)

    def feed(self, text: bytes) -> bytes:
        return self._encoder.compress(text)

    def flush(self) -> bytes:
        return self._encoder.flush(zstd.ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._encoder.flush(zstd.ZstdCompressor.FLUSH_FRAME)


def _raw_if_bare(leading: bytes, window: int) -> int:
    """The window, or that of deflate without its envelope, as some servers send it (RFC 9110 8.4.1.2)."""
    is_bare = window == zlib.MAX_WBITS and leading[0] & 0x0F != zlib.DEFLATED
    return -zlib.MAX_WBITS if is_bare else window

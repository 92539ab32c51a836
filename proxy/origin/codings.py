"""Content codings of an origin's answers, undone piece by piece; and those that are named and are none.

httpx undoes all of a chunk at once, and 64 KiB of gzip may hold 64 MB. Codings on top of each other multiply:
2 kB may hold gigabytes. So there are at most `MOST_CODINGS`, each of them gives at most as many bytes as the
reader allows, and after each piece the event loop gets its turn.

A false coding is `aws-chunked`, which S3 keeps of an upload.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

from proxy.errors import OriginMismatch
from proxy.origin.parts import begun
from proxy.origin.signature import TELLING, has_codestream

CODINGS = frozenset(
    {"br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "identity", "pack200-gzip", "zstd"}
    | {"x-compress", "x-gzip"}
)
"""Those that are registered (RFC 9110 16.6.1): what is named by them is believed."""

PIECE = 256 * 1024
"""Bytes that are undone at once."""
TURN = 32 * 1024
"""Bytes that are compressed at once."""
LEVEL = 4
"""Level of compression, 1 to 9."""
MOST_CODINGS = 2
"""Most codings of one body. Servers send one; two happen if a stored file was compressed before."""
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


async def without_false(
    headers: Mapping[str, str], body: AsyncIterator[bytes], *, is_rest: bool
) -> tuple[Mapping[str, str], AsyncIterator[bytes]]:
    """Headers and body of an answer, without codings that nobody knows if the body begins with a codestream.

    For a rest (`is_rest`) the first bytes, which are held, have told.
    """
    tokens = [token.strip().lower() for token in headers["content-encoding"].split(",")]
    known = [token for token in tokens if token in CODINGS]
    if len(known) == len(tokens):
        return headers, body
    if not is_rest:
        leading, body = await begun(body, TELLING)
        if not has_codestream(leading):
            return headers, body
    return {**headers, "content-encoding": ", ".join(known) or "identity"}, body


def can_undo(codings: str) -> bool:
    """True if all of these codings can be undone.

    >>> can_undo("gzip"), can_undo(""), can_undo("br")
    (True, True, False)
    """
    tokens = [token for token in map(str.strip, codings.lower().split(",")) if token not in ("", "identity")]
    return all(token in _WINDOWS for token in tokens) and len(tokens) <= MOST_CODINGS


def undone(body: AsyncIterator[bytes], codings: str, most: int) -> AsyncIterator[bytes]:
    """A body without these codings, as far as they are known, in pieces of at most `PIECE` bytes.

    Raises `OriginMismatch` for too many codings, and for a body that is not in that coding, is cut, goes on
    behind its end, or has more than `most` bytes in any coding.
    """
    known = [token for token in map(str.strip, codings.lower().split(",")) if token in _WINDOWS]
    if len(known) > MOST_CODINGS:
        raise OriginMismatch(f"more than {MOST_CODINGS} content codings", "encoding")
    for token in reversed(known):
        body = _inflated(body, _WINDOWS[token], most)
    return body


async def compressed(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body in the content coding gzip. Each chunk can be undone as soon as it comes.

    The event loop gets its turn after each `TURN` bytes.
    """
    encoder = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOWS["gzip"])
    async for chunk in body:
        for at in range(0, len(chunk), TURN):
            if at:
                await asyncio.sleep(0)
            if piece := encoder.compress(chunk[at : at + TURN]):
                yield piece
        yield encoder.flush(zlib.Z_SYNC_FLUSH)
    yield encoder.flush()


async def _inflated(body: AsyncIterator[bytes], window: int, most: int) -> AsyncIterator[bytes]:
    decoder, size = None, 0
    try:
        async for chunk in body:
            if not chunk:
                continue
            if decoder is None:
                decoder = zlib.decompressobj(_raw_if_bare(chunk, window))
            piece = decoder.decompress(chunk, PIECE)
            while piece:
                size += len(piece)
                if size > most:
                    raise OriginMismatch(f"more than {most} bytes in a content coding", "too_large")
                yield piece
                await asyncio.sleep(0)
                piece = decoder.decompress(decoder.unconsumed_tail, PIECE)
            if decoder.unused_data:  # zlib would collect all that comes
                raise OriginMismatch("bytes behind the end of a content coding", "encoding")
    except zlib.error as error:
        raise OriginMismatch("a content coding that can't be undone", "encoding") from error
    if decoder is not None and not decoder.eof:
        raise OriginMismatch("a content coding that ends too early", "encoding")


def _raw_if_bare(leading: bytes, window: int) -> int:
    """The window, or that of deflate without its envelope, as some servers send it (RFC 9110 8.4.1.2)."""
    is_bare = window == zlib.MAX_WBITS and leading[0] & 0x0F != zlib.DEFLATED
    return -zlib.MAX_WBITS if is_bare else window

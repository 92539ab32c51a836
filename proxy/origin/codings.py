"""Content codings of an origin's answers, undone piece by piece; and those that are named and are none.

httpx undoes all of a chunk at once, and 64 KiB of gzip may hold 64 MB. A false coding is `aws-chunked`, which
S3 keeps of an upload.
"""

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


def undone(body: AsyncIterator[bytes], codings: str) -> AsyncIterator[bytes]:
    """A body without these codings, as far as they are known, in pieces of at most `PIECE` bytes.

    Raises `OriginMismatch` for a body that is not in that coding, or that is cut.
    """
    for token in reversed([token.strip().lower() for token in codings.split(",")]):
        if token in _WINDOWS:
            body = _inflated(body, _WINDOWS[token])
    return body


async def _inflated(body: AsyncIterator[bytes], window: int) -> AsyncIterator[bytes]:
    decoder = None
    try:
        async for chunk in body:
            if not chunk:
                continue
            if decoder is None:
                decoder = zlib.decompressobj(_raw_if_bare(chunk, window))
            piece = decoder.decompress(chunk, PIECE)
            while piece:
                yield piece
                piece = decoder.decompress(decoder.unconsumed_tail, PIECE)
    except zlib.error as error:
        raise OriginMismatch("a content coding that can't be undone", "encoding") from error
    if decoder is not None and not decoder.eof:
        raise OriginMismatch("a content coding that ends too early", "encoding")


def _raw_if_bare(leading: bytes, window: int) -> int:
    """The window, or that of deflate without its envelope, as some servers send it (RFC 9110 8.4.1.2)."""
    is_bare = window == zlib.MAX_WBITS and leading[0] & 0x0F != zlib.DEFLATED
    return -zlib.MAX_WBITS if is_bare else window

"""Content codings of an origin's answers, undone piece by piece; and those that are named and are none.

httpx undoes all of a chunk at once, and 64 KiB of gzip may hold 64 MB. Codings on top of each other multiply:
2 kB may hold gigabytes. So there are at most `MOST_CODINGS`, each of them gives at most as many bytes as the
reader allows, and after each piece the event loop gets its turn.

A false coding is `aws-chunked`, which S3 keeps of an upload.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from proxy.errors import OriginMismatch
from proxy.origin.coders import UNDONE, Decoder, decoder_of, encoder_of, pieces_of
from proxy.origin.parts import begun
from proxy.origin.signature import TELLING, has_codestream

CODINGS = frozenset(
    {"br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "identity", "pack200-gzip", "zstd"}
    | {"x-compress", "x-gzip"}
)
"""Those that are registered (RFC 9110 16.6.1): what is named by them is believed."""

TURN = 32 * 1024
"""Bytes that are compressed at once."""
MOST_CODINGS = 2
"""Most codings of one body. Servers send one; two happen if a stored file was compressed before."""
_SAME = {"x-gzip": "gzip", "x-compress": "compress"}
"""Names of old (RFC 9110 8.4.1)."""


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
    tokens = _tokens(codings)
    return all(token in UNDONE for token in tokens) and len(tokens) <= MOST_CODINGS


def is_foreign(codings: str) -> bool:
    """True if a registered coding among these can't be undone, or if they are too many.

    >>> is_foreign("br"), is_foreign("gzip"), is_foreign("aws-chunked")
    (True, False, False)
    """
    tokens = _tokens(codings)
    return len(tokens) > MOST_CODINGS or any(token in CODINGS - UNDONE for token in tokens)


def plain_name(codings: str) -> str:
    """The codings in lower case by their own names, without those that change nothing.

    >>> plain_name("X-GZIP, identity"), plain_name("identity"), plain_name("Deflate,gzip")
    ('gzip', '', 'deflate, gzip')
    """
    return ", ".join(_tokens(codings))


def _tokens(codings: str) -> list[str]:
    tokens = [token.strip() for token in codings.lower().split(",")]
    return [_SAME.get(token, token) for token in tokens if token not in ("", "identity")]


def undone(body: AsyncIterator[bytes], codings: str, most: int) -> AsyncIterator[bytes]:
    """A body without these codings, as far as they are known, in pieces of at most `PIECE` bytes.

    Raises `OriginMismatch` for too many codings, and for a body that is not in that coding, is cut, goes on
    behind its end, or has more than `most` bytes in any coding.
    """
    known = [token for token in _tokens(codings) if token in UNDONE]
    if len(known) > MOST_CODINGS:
        raise OriginMismatch(f"more than {MOST_CODINGS} content codings", "encoding")
    for token in reversed(known):
        body = _inflated(body, decoder_of(token), most)
    return body


async def encoded(body: AsyncIterator[bytes], coding: str) -> AsyncIterator[tuple[bytes, bytes]]:
    """A body in the coding `gzip` or `zstd`: pieces of it, each with the plain bytes that it was made of.

    Each chunk can be undone as soon as it comes. The event loop gets its turn after each `TURN` bytes.
    """
    encoder = encoder_of(coding)
    async for chunk in body:
        for at in range(0, len(chunk), TURN):
            await asyncio.sleep(0)
            plain = chunk[at : at + TURN]
            is_last = at + TURN >= len(chunk)
            yield encoder.feed(plain) + (encoder.flush() if is_last else b""), plain
    yield encoder.end(), b""


async def _inflated(body: AsyncIterator[bytes], decoder: Decoder, most: int) -> AsyncIterator[bytes]:
    size, is_begun = 0, False
    try:
        async for chunk in body:
            for piece in pieces_of(decoder, chunk):
                size += len(piece)
                if size > most:
                    raise OriginMismatch(f"more than {most} bytes in a content coding", "too_large")
                yield piece
                await asyncio.sleep(0)
            is_begun = is_begun or bool(chunk)
            if decoder.has_more:  # the decoder would collect all that comes
                raise OriginMismatch("bytes behind the end of a content coding", "encoding")
    except decoder.fault as error:
        raise OriginMismatch("a content coding that can't be undone", "encoding") from error
    if is_begun and not decoder.is_ended:
        raise OriginMismatch("a content coding that ends too early", "encoding")

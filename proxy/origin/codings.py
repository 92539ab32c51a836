"""Content codings that an origin names and that are none, as `aws-chunked`, which S3 keeps of an upload."""

from collections.abc import AsyncIterator, Mapping

from proxy.origin.parts import begun
from proxy.origin.signature import TELLING, has_codestream

CODINGS = frozenset(
    {"br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "identity", "pack200-gzip", "zstd"}
    | {"x-compress", "x-gzip"}
)
"""Those that are registered (RFC 9110 16.6.1): what is named by them is believed."""


async def without_false(
    headers: Mapping[str, str], body: AsyncIterator[bytes], *, is_rest: bool
) -> tuple[Mapping[str, str], AsyncIterator[bytes]]:
    """Headers and body of an answer, without codings that nobody knows if the body begins with a codestream.

    Of a rest (`is_rest`) the first bytes, which are held, have told.
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

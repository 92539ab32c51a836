"""False content codings, such as `aws-chunked`, which S3 keeps from an upload."""

from collections.abc import AsyncIterator, Mapping

from proxy.origin.parts import begun
from proxy.origin.signature import TELLING, has_codestream

CODINGS = frozenset(
    {"br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "identity", "pack200-gzip", "zstd"}
    | {"x-compress", "x-gzip"}
)
"""Registered content codings (RFC 9110 16.6.1). The proxy believes an origin that names one of these."""


async def without_false(
    headers: Mapping[str, str], body: AsyncIterator[bytes], *, is_rest: bool
) -> tuple[Mapping[str, str], AsyncIterator[bytes]]:
    """Removes unknown codings from the headers of a response if its body begins with a codestream.

    If `is_rest`, they are removed without a look at the body, because the first bytes are held already.
    Returns the headers and the body.
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

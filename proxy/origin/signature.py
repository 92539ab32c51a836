"""The media type of a frame from its first bytes, if the headers have none or a wrong one; pure."""

from proxy.codestream.header import read_header
from proxy.errors import CodestreamError, OriginMismatch
from proxy.wire.media import HTJ2K_RPCL, JPHC
from proxy.wire.multipart import read_part_head

TELLING = 4096
"""First bytes of a frame that are enough to tell nearly every media type."""
_UID = "1.2.840.10008.1.2.4."
_JPEG = {
    0xC0: f"image/jpeg;transfer-syntax={_UID}50",
    0xC1: f"image/jpeg;transfer-syntax={_UID}51",
    0xC3: f"image/jpeg;transfer-syntax={_UID}70",
    0xF7: f"image/jls;transfer-syntax={_UID}80",
}
"""Media types by the start-of-frame marker (T.81 table B.1, T.87 C.1.1)."""


def kind_of(leading: bytes) -> str:
    """Media type and transfer syntax of a codestream from its first bytes; empty if they are unknown.

    >>> kind_of(bytes.fromhex("ffd8 fff7 000b 10")), kind_of(bytes(64))
    ('image/jls;transfer-syntax=1.2.840.10008.1.2.4.80', '')
    """
    if leading.startswith(b"\xff\xd8\xff"):
        return _kind_of_jpeg(leading)
    if not leading.startswith(b"\xff\x4f\xff\x51"):  # SOC, SIZ (T.800 A.4.1, A.5.1)
        return ""
    try:
        header = read_header(leading)
    except CodestreamError:
        return ""
    if header is None:
        return "image/jp2"
    if header.is_htj2k:
        return f"{JPHC};transfer-syntax={HTJ2K_RPCL}" if not header.reasons else JPHC
    return f"image/jp2;transfer-syntax={_UID}{90 if header.is_reversible else 91}"


def has_codestream(leading: bytes) -> bool:
    """True if a body, single part or multipart, begins with a codestream."""
    if leading.startswith((b"--", b"\r\n--")):
        try:
            head = read_part_head(leading)
        except OriginMismatch:
            return False
        leading = leading[head.offset :] if head else b""
    return bool(kind_of(leading))


def _kind_of_jpeg(leading: bytes) -> str:
    at = 2
    while leading[at : at + 1] == b"\xff" and at + 4 <= len(leading):
        if found := _JPEG.get(leading[at + 1]):
            return found
        at += 2 + max(2, int.from_bytes(leading[at + 2 : at + 4], "big"))
    return "image/jpeg"

"""The rules that a request has to keep at either listener before anything else happens. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.wire.head import Fields


def _everybody(method: bytes, fields: Fields) -> None:
    """Admits every request."""


def _uncounted(reason: str) -> None:
    """Counts nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that a request has to keep."""

    url_bytes: int = 16 * 1024
    """Bytes of the longest URL."""
    header_bytes: int = 32 * 1024
    """Bytes of all headers; of chunk extensions and trailers likewise."""
    header_seconds: float = 10.0
    """Seconds from the first byte of a request to the last one of its headers."""
    body_rate: int = 500
    """Least bytes per second of a body on average; 0 is any rate."""
    read_rate: int = 1024
    """Least bytes per second that a viewer takes of a response; 0 is any rate."""
    read_seconds: float = 30.0
    """Seconds over which that rate is taken."""
    body_bytes: int | None = None
    """Bytes of the longest body; None is any, for a body that is handed on as it arrives."""
    body_seconds: float | None = None
    """Seconds from the end of a request's headers to the end of its body; None is any."""
    admit: Callable[[bytes, Fields], None] = _everybody
    """Raises `ProxyError` for the method and headers of a request that is not to be answered."""
    count: Callable[[str], None] = _uncounted
    """Counts a refusal by the name of its error."""

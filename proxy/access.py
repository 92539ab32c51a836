"""Who may read what: what one credential fetched is found by that credential alone.

The partition of a request is an HMAC of its credentials under a key made at start, so neither a token
nor anything that could be tried against a list of tokens is ever stored. `access: shared` says that
the origin has no users of its own.
"""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

CREDENTIALS = ("authorization", "cookie")
"""Headers that prove who asks; handed to the origin with each fetch."""

Policy = Literal["credential", "shared"]


class Access:
    """Tells the partition of a request."""

    def __init__(self, policy: Policy) -> None:
        self._is_shared = policy == "shared"
        self._key = secrets.token_bytes(32)

    def partition(self, credentials: Iterable[tuple[str, str]]) -> bytes:
        """Where frames of these credentials are kept; empty where there are none, or all may read."""
        proof = [f"{name}:{len(value)}:{value}" for name, value in credentials]
        if self._is_shared or not proof:
            return b""
        return hmac.digest(self._key, "\n".join(proof).encode("utf-8", "surrogateescape"), sha256)

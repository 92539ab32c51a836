"""The bearer of a token, and what the proxy needs of a part that verifies tokens."""

from dataclasses import dataclass
from math import inf
from typing import Protocol

from proxy.access.authorizer import Pairs


@dataclass(frozen=True, slots=True)
class Bearer:
    """The person to whom the issuer gave a valid token."""

    claims: Pairs
    """Claims that name the person."""
    until: float
    """Unix time from which the token has expired."""


NOBODY = Bearer((), inf)
"""The bearer if tokens are not verified."""


class TokenVerifier(Protocol):
    """Verifies tokens of callers. Its library takes 9 MiB, so it is loaded only if a setting needs it."""

    async def bearer(self, name: bytes, credentials: Pairs) -> Bearer:
        """The bearer of the token in these credentials, for which `name` stands.

        Raises `CallerRefused`, `AuthorityFailed`, `AuthorityTimeout`.
        """
        ...

    def is_valid(self, name: bytes) -> bool:
        """True if `bearer` would find a valid token without waiting or asking."""
        ...

    def has_valid(self, bearer: Bearer) -> bool:
        """True if this token of the person, or a later one that was shown, has not expired."""
        ...

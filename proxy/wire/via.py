"""Detects loops by `Via`, the header that lists the proxies a message passed (RFC 9110 7.6.3). Pure.

Some servers drop `Via` from requests. A loop that leads through one of them is found by `CDN-Loop`, which has
no other purpose and which nobody may drop (RFC 8586). If a server drops both, the limit of forwarded requests
ends the loop (`proxy.origin.plain`). The time limit of a fetch ends a loop of frames: the request that comes
back waits for the very fetch that waits for it.

Each process creates its own pseudonym. Two proxies in a chain therefore differ even if their configuration is
the same, and in a loop a request returns under a name that one of its proxies gave it. If a service has
several replicas, each round may pass a different replica. So a request is also refused if it has passed more
proxies of this kind than any chain has.
"""

import re
import secrets
from dataclasses import dataclass, field

from proxy.errors import Loop

KIND = "progressive-proxy"
"""Start of every pseudonym."""
CARRIED = ("via", "cdn-loop")
"""Request headers that name the proxies that the request passed."""
MOST = 8
"""Maximum number of proxies of this kind in one chain."""

_OURS = re.compile(rf"\b{KIND}-[0-9a-f]{{16}}\b", re.ASCII | re.IGNORECASE)


def _pseudonym() -> str:
    return f"{KIND}-{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Via:
    """One proxy's entry in `Via`.

    >>> Via("us").after("1.0 fred")
    '1.0 fred, 1.1 us'
    """

    name: str = field(default_factory=_pseudonym)
    """This proxy's pseudonym."""

    def after(self, before: str | None, protocol: str = "1.1") -> str:
        """Appends this proxy to the received value `before`; `protocol` is the message's HTTP version."""
        return f"{before}, {protocol} {self.name}" if before else f"{protocol} {self.name}"

    def once_more(self, before: str | None) -> str:
        """The value of `CDN-Loop` for a request that came with this one.

        >>> Via("us").once_more("fred")
        'fred, us'
        """
        return f"{before}, {self.name}" if before else self.name

    def check(self, value: str) -> None:
        """Raises `Loop` if a message with this value has already passed this proxy, or too many proxies."""
        ours = proxies_in(value)
        if self.name in ours or len(ours) > MOST:
            raise Loop("the origin's url leads back to this proxy: correct it in the configuration")


def proxies_in(value: str) -> list[str]:
    """Returns the pseudonyms of this project's proxies, in order and in lower case.

    >>> proxies_in("1.1 progressive-proxy-0123456789abcdef, 1.1 nginx")
    ['progressive-proxy-0123456789abcdef']
    """
    return [name.lower() for name in _OURS.findall(value)]

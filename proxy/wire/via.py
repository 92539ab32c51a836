"""`Via`: through which proxies a message came (RFC 9110 7.6.3), so that a ring is found. Pure.

Some servers drop `Via` from requests. A ring that leads through one is found by `CDN-Loop`, which a request
carries for that alone, and which nobody may drop (RFC 8586).

A proxy's pseudonym is made anew for each process. So the proxies of two sites in one chain differ, even if
they are configured alike, and in a ring a request comes back under a name that one of its proxies gave it.
If a service has several replicas, the ring may lead through another one each time. So a request is also
refused if it has come through more proxies of this kind than a chain has.
"""

import re
import secrets
from dataclasses import dataclass, field

from proxy.errors import Loop

KIND = "progressive-proxy"
"""What all our pseudonyms begin with."""
CARRIED = ("via", "cdn-loop")
"""Headers of a request that name the proxies that it came through."""
MOST = 8
"""Proxies of our kind in one chain."""

_OURS = re.compile(rf"\b{KIND}-[0-9a-f]{{16}}\b", re.ASCII | re.IGNORECASE)


def _pseudonym() -> str:
    return f"{KIND}-{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Via:
    """What one proxy writes and reads there.

    >>> Via("us").after("1.0 fred")
    '1.0 fred, 1.1 us'
    """

    name: str = field(default_factory=_pseudonym)
    """Its pseudonym."""

    def after(self, before: str | None, protocol: str = "1.1") -> str:
        """The value for a message that came with this one; `protocol` is that in which it came."""
        return f"{before}, {protocol} {self.name}" if before else f"{protocol} {self.name}"

    def once_more(self, before: str | None) -> str:
        """The value of `CDN-Loop` for a request that came with this one.

        >>> Via("us").once_more("fred")
        'fred, us'
        """
        return f"{before}, {self.name}" if before else self.name

    def check(self, value: str) -> None:
        """Raises `Loop` if a message with this value went round a ring."""
        ours = proxies_in(value)
        if self.name in ours or len(ours) > MOST:
            raise Loop("the way to the origin leads back to this proxy: correct the url of the origin")


def proxies_in(value: str) -> list[str]:
    """The pseudonyms of our kind, in order and in lower case: a proxy between may write them otherwise.

    >>> proxies_in("1.1 progressive-proxy-0123456789abcdef, 1.1 nginx")
    ['progressive-proxy-0123456789abcdef']
    """
    return [name.lower() for name in _OURS.findall(value)]

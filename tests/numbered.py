"""Numbers the proxy's requests, so that a story knows the order in which they went out.

Requests on different connections arrive in any order if the machine is busy. A scripted origin sorts them by
these numbers, and shows nobody the header.
"""

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import httpx

from proxy.origin.loop_turns import LoopTurns
from proxy.origin.response import A_TURN
from proxy.origin.transport import Transport, TransportLimits
from proxy.service.origins import TransportOf, outbound_of, tls_of

if TYPE_CHECKING:
    from proxy.origin.transport import _Asked
    from proxy.settings.sections import OriginSettings

HEADER = "x-number"
NUMBERS = count(1)
"""One sequence for all proxies of the process, since several can have one origin."""


class Numbered(Transport):
    """The transport of the program, with a number in each request."""

    async def _answered(self, asked: "_Asked") -> httpx.Response:
        numbered = (*asked.headers, (HEADER, str(next(NUMBERS))))
        return await super()._answered(replace(asked, headers=numbered))


def numbered(kind: type[Numbered] = Numbered) -> TransportOf:
    """Makes the transports of a proxy, as the program does."""
    turns = LoopTurns(A_TURN)

    def transport_of(origin: "OriginSettings") -> Transport:
        said = origin.timeouts
        limits = TransportLimits(said.connect, said.first_byte, said.stall)
        return kind(limits, tls_of(origin), outbound_of(origin.via), turns)

    return transport_of

"""The connections of a listener: how many it may have, and which one makes room for another.

A connection without a request under way is idle: it is between two requests, in the head of one, or in the
handshake of TLS. If the listener has as many connections as it may have, the one that has been idle for
longest is closed. If none is idle, the new one is refused. So connections that say nothing, or very little,
keep nobody out. A viewer that still reads its last answer is not cut for that; a client of the admin listener
is, since health goes first.
"""

from collections import Counter
from collections.abc import Callable
from itertools import islice

from proxy.errors import ProxyError, ServiceFull, TooMany
from proxy.service.turns import Turns

REFUSED_AT_ONCE = 32
"""Most connections that are being told of a refusal; one more is closed without a word."""
LOOKED_AT = 32
"""Idle connections that are looked at for one that can be closed at once."""


def _uncounted(what: str) -> None:
    """Counts nothing."""


class Connections:
    """The places of a listener's connections."""

    def __init__(
        self,
        most: int | None = None,
        per_address: int | None = None,
        count_refused: Callable[[str], None] = _uncounted,
        count_closed: Callable[[str], None] = _uncounted,
        *,
        cuts_readers: bool = False,
    ) -> None:
        """`most` and `per_address` are None if there is no bound.

        If it `cuts_readers`, a connection whose last answer is still being read can make room, too.
        `count_refused` gets the name of a bound, and `count_closed` the reason why a connection was closed.
        """
        self.count_closed = count_closed
        self.most = most
        """Most connections at once; None if there is no bound."""
        self.turns = Turns()
        """When their requests begin."""
        self._cuts_readers = cuts_readers
        self._per_address = per_address
        self._count_refused = count_refused
        self._by_address: Counter[str] = Counter()
        self.open = 0
        """Connections that are open, without those that are told of a refusal."""
        self._told = 0
        self._idle: dict[Place, None] = {}

    def enter(self, address: str) -> "Place | None":
        """The place of a new connection; None if it is to be closed without a word."""
        refusal = self._refusal(address)
        if refusal is not None and self._told >= REFUSED_AT_ONCE:
            return None
        place = Place(self, address, refusal)
        if refusal is None:
            self.open += 1
            self._by_address[address] += 1
        else:
            self._told += 1
        return place

    def _refusal(self, address: str) -> ProxyError | None:
        if self._per_address is not None and self._by_address[address] >= self._per_address:
            self._count_refused("connections_per_address")
            return TooMany(f"bounds.connections_per_address: {self._per_address} at most")
        if self.most is not None and self.open >= self.most and not self.make_room():
            self._count_refused("connections")
            return ServiceFull(f"bounds.connections: {self.most} at most")
        return None

    def make_room(self) -> bool:
        """Closes the connection that has been idle for longest. Returns False if none can be closed."""
        for place in tuple(islice(self._idle, LOOKED_AT)):
            if place.close(self._cuts_readers):
                self.count_closed("room")
                place.leave()
                return True
            place.idle()  # the viewer still reads its last answer; look at it last
        return False

    def left(self, place: "Place") -> None:
        """A connection has ended."""
        self._idle.pop(place, None)
        if place.refusal is not None:
            self._told -= 1
            return
        self.open -= 1
        self._by_address[place.address] -= 1
        if not self._by_address[place.address]:
            del self._by_address[place.address]

    def is_idle(self, place: "Place") -> None:
        """A connection is idle from now on."""
        self._idle.pop(place, None)
        self._idle[place] = None

    def is_busy(self, place: "Place") -> None:
        """A connection has a request under way."""
        self._idle.pop(place, None)


def _none(_: bool) -> bool:
    return False


class Place:
    """The place of one connection."""

    __slots__ = ("_connections", "_is_left", "address", "close", "refusal")

    def __init__(
        self, connections: Connections, address: str = "", refusal: ProxyError | None = None
    ) -> None:
        self.address = address
        self.refusal = refusal
        """Why the connection is refused; None if it is not."""
        self.close: Callable[[bool], bool] = _none
        """Closes the connection. Returns False if its viewer still reads; with True, closes it even then."""
        self._connections = connections
        self._is_left = False

    def idle(self) -> None:
        """The connection is idle from now on."""
        if not self._is_left and self.refusal is None:
            self._connections.is_idle(self)

    def busy(self) -> None:
        """The connection has a request under way."""
        self._connections.is_busy(self)

    def begin(self, start: Callable[[], None]) -> None:
        """Begins a request when it is its turn."""
        self._connections.turns.begin(start)

    def slow(self) -> None:
        """The connection is closed because its viewer reads too slowly."""
        self._connections.count_closed("slow")

    def leave(self) -> None:
        """The connection has ended; told again, it makes no difference."""
        if not self._is_left:
            self._is_left = True
            self.close = _none  # so that the connection is freed without the collector of cycles
            self._connections.left(self)

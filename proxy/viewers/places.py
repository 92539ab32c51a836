"""The places of viewers' requests. A request takes one before it waits, and holds it until its response ends.

A request takes none if the cache answers it with at most 1 MiB. So hits go on if all places are taken.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from proxy.access.bounds import Bound


@dataclass(frozen=True, slots=True)
class Places:
    """The bounds that viewers' requests have to keep."""

    waiting: Bound
    """Requests that wait for an origin, or read what it sends."""
    sending: Bound
    """Responses of more than 1 MiB from the cache."""
    uploads: Bound
    """Requests that may change an origin."""


class Place:
    """The place of one request, given back at the end of the `with`."""

    __slots__ = ("_person", "_places", "_taken")

    def __init__(self, places: Places, person: bytes) -> None:
        self._places = places
        self._person = person
        self._taken: Bound | None = None

    def wait(self) -> None:
        """Takes a place to wait. Raises `TooMany`, `ServiceFull`."""
        self._take(self._places.waiting)

    def send(self) -> None:
        """Takes a place to send a large response. Raises likewise."""
        self._take(self._places.sending)

    def _take(self, bound: Bound) -> None:
        bound.take(self._person)
        self._taken = bound

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken is not None:
            self._taken.give_back(self._person)

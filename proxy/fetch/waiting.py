"""The fetches that wait at a gate: by turn, then in fair shares between callers, then by rank.

Each caller has a queue in each turn, and a *due* that grows by the cost of each fetch that goes out for it.
The caller with the lowest due goes next (start-time fair queueing). A caller that had nothing to wait for
starts at the due of the caller that went last, plus one `LEAST_COST`. So it goes next if all others have just
had a fetch. It cannot save up turns, and a stream of newcomers does not starve a caller that waits. A due
changes only if a fetch of its caller goes out, so each event costs O(log n).

If several callers wait for a frame, its fetch stands in the queue of each of them. It goes out for the one
whose turn comes first, and only that one pays.

A caller whose running fetches have as many seats as one caller may have is passed over. Otherwise a caller
who knows some URLs that the origin answers late would have all seats, and nobody else any.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush, heapreplace
from itertools import count, islice
from sys import maxsize
from typing import Generic, Protocol, TypeVar

from proxy.fetch.turns import Rank, Turn

LEAST_COST = 65536
"""Bytes that a fetch costs its caller at least, because it holds a seat."""
MOST_SPARE = 100
"""Queues that are kept although nothing waits in them, before any of them is dropped."""


class WaitingFetch(Protocol):
    """A fetch as it waits."""

    number: int
    """Its place in the order of arrival."""
    rank: Rank
    """Its place within the queue of a caller."""
    entry: int
    """Number of its current entry; entries with other numbers no longer count. 0 if it does not wait."""
    queued: int
    """Number of its callers in whose queues it stands."""

    persons: dict[bytes, None]
    """Its callers. More may come, at the end; none goes."""


Fetch = TypeVar("Fetch", bound=WaitingFetch)


class Queue(Generic[Fetch]):
    """The fetches in one turn for which one caller waits."""

    def __init__(self, person: bytes) -> None:
        self.person = person
        """The caller; empty for all callers without a credential."""
        self.due = 0
        """Bytes that were given to the caller, counted from where it started."""
        self.heap: list[tuple[Rank, int, int, Fetch]] = []
        """The fetches by rank, then in the order in which they came. Empty if the caller is not in line."""


class Waiting(Generic[Fetch]):
    """The fetches that wait at one gate."""

    def __init__(self, most: int = maxsize) -> None:
        """A caller with a credential has at most so many fetches running."""
        self._most = most
        self._running: Counter[bytes] = Counter()
        self._full: set[bytes] = set()
        """Callers that have `most` fetches running."""
        self._numbers = count(1)
        self._queues: dict[tuple[Turn, bytes], Queue[Fetch]] = {}
        self._line: list[tuple[Turn, int, bool, int, Queue[Fetch]]] = []
        """A heap of the queues that are not empty. If two dues are equal, a newcomer goes first. Dues may
        have grown since they were entered."""
        self._start = [0] * len(Turn)
        """For each turn, the due of a caller that comes now."""
        self._by_person: dict[bytes, dict[Fetch, None]] = {}
        """For each caller, what it waits for in the order of arrival. Whom `longest` chose last is last."""
        self._number = 0
        self._most_queues = MOST_SPARE

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Fetch]:
        """The fetches that wait, each once. Takes time for each of them."""
        return iter({fetch.number: fetch for each in self._by_person.values() for fetch in each}.values())

    @property
    def running(self) -> Mapping[bytes, int]:
        """The number of fetches that run, for each caller with a credential."""
        return self._running

    def place(self, fetch: Fetch) -> None:
        """A fetch begins to wait, or its rank has changed."""
        self._number += not fetch.entry
        fetch.entry, fetch.queued = next(self._numbers), 0
        self.join(fetch)

    def join(self, fetch: Fetch) -> None:
        """More callers wait for a fetch."""
        for person in islice(fetch.persons, fetch.queued, None):
            queue = self._queue_in_line(fetch.rank.turn, person)
            heappush(queue.heap, (fetch.rank, fetch.number, fetch.entry, fetch))
            self._by_person.setdefault(person, {})[fetch] = None
            fetch.queued += 1

    def _queue_in_line(self, turn: Turn, person: bytes) -> Queue[Fetch]:
        queue = self._queues.get((turn, person))
        if queue is None:
            self._drop_spare()
            queue = self._queues[turn, person] = Queue(person)
        if not queue.heap:
            had_its_share = queue.due >= self._start[turn]
            queue.due = max(queue.due, self._start[turn])
            heappush(self._line, (turn, queue.due, had_its_share, next(self._numbers), queue))
        return queue

    def _drop_spare(self) -> None:
        """Drops queues of callers that wait for nothing, and have no more than a newcomer."""
        if len(self._queues) < self._most_queues:
            return
        self._queues = {
            (turn, person): queue
            for (turn, person), queue in self._queues.items()
            if queue.heap or queue.due > self._start[turn]
        }
        self._most_queues = 2 * len(self._queues) + MOST_SPARE

    def first(self) -> Fetch | None:
        """The fetch that goes next."""
        passed, found = [], None
        while self._line and found is None:
            turn, due, _, _, queue = self._line[0]
            heap = queue.heap
            while heap and heap[0][3].entry != heap[0][2]:
                heappop(heap)
            if not heap:
                heappop(self._line)
            elif due < queue.due:
                heapreplace(self._line, (turn, queue.due, True, next(self._numbers), queue))
            elif queue.person in self._full:
                passed.append(heappop(self._line))
            else:
                found = heap[0][3]
        for each in passed:
            heappush(self._line, each)
        return found

    def longest(self, may_go: Callable[[Fetch], bool]) -> Fetch | None:
        """The fetch that has waited longest and may go, from each caller in rotation."""
        for person, fetches in self._by_person.items():
            if person in self._full:
                continue
            found = next(filter(may_go, fetches), None)
            if found is not None:
                self._by_person[person] = self._by_person.pop(person)
                return found
        return None

    def go(self, fetch: Fetch, size: int) -> Queue[Fetch]:
        """A fetch of this many bytes goes out. Returns the queue of the caller that pays for it."""
        turn, payer = fetch.rank.turn, None
        for person in islice(fetch.persons, fetch.queued):
            queue = self._queues[turn, person]
            if person not in self._full and (payer is None or queue.due < payer.due):
                payer = queue
        assert payer is not None
        if payer.person:
            self._running[payer.person] += 1
            if self._running[payer.person] >= self._most:
                self._full.add(payer.person)
        self.leave(fetch)
        self._start[turn] = max(self._start[turn], payer.due + LEAST_COST)
        payer.due += max(size, LEAST_COST)
        return payer

    def end(self, payer: Queue[Fetch]) -> None:
        """A fetch has ended for which this caller paid."""
        if payer.person:
            self._full.discard(payer.person)
            self._running[payer.person] -= 1
            if not self._running[payer.person]:
                del self._running[payer.person]

    def leave(self, fetch: Fetch) -> None:
        """A fetch waits no longer."""
        if not fetch.entry:
            return
        fetch.entry = 0
        self._number -= 1
        for person in islice(fetch.persons, fetch.queued):
            fetches = self._by_person[person]
            fetches.pop(fetch, None)
            if not fetches:
                del self._by_person[person]

"""Computes when each packet leaves a line and when it arrives. Pure.

Times are seconds of any one clock. They are exact and add up. A packet leaves when the one before it has
left, even if a timer fired late, so coarse timers never lower the rate.
"""

from dataclasses import dataclass

GRAIN = 0.001
"""Seconds between two looks at the clock; timers of an event loop are no finer."""
MIN_PACKET, MAX_PACKET = 1500, 65536
"""Bytes. A packet is what the line sends in one grain, and at least an Ethernet frame."""
MIN_QUEUE = 128 * 1024
"""Bytes that can wait in a line. A fast line holds as much as it sends in `QUEUE_GRAINS`."""
QUEUE_GRAINS = 20


def packet_size(rate: float) -> int:
    """Returns the bytes of the largest packet on a line of `rate` bits per second.

    >>> packet_size(30e6), packet_size(5e6), packet_size(1e9)
    (3750, 1500, 65536)
    """
    return int(min(MAX_PACKET, max(MIN_PACKET, rate * GRAIN / 8)))


@dataclass(slots=True)
class Schedule:
    """One direction of a link.

    >>> line = Schedule(rate=8000, delay=0.5)
    >>> line.admit(10.0, 1000), line.admit(10.0, 1000)
    (11.5, 12.5)
    """

    rate: float
    """Bits per second."""
    delay: float
    """Seconds that a packet travels after it has left: half a latency."""
    free: float = 0.0
    """When the last admitted packet will have left."""

    @property
    def queue(self) -> float:
        """Seconds of sending that can wait in the queue."""
        return max(MIN_QUEUE * 8 / self.rate, QUEUE_GRAINS * GRAIN)

    def room_at(self, size: int) -> float:
        """Returns the time from which the queue has space for a packet of `size` bytes."""
        return self.free + size * 8 / self.rate - self.queue

    def admit(self, now: float, size: int) -> float:
        """Queues a packet of `size` bytes and returns when it arrives."""
        self.free = max(now, self.free) + size * 8 / self.rate
        return self.free + self.delay

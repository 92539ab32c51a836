"""The health of an origin: it decides if the origin is asked for frames now, and if a request may be retried.

    well ── FAILURES in a row ──► doubted ── no answer to a question ──► resting ── REST seconds ──► doubted
      ▲                              │ it answers the question, or any request         │
      └──────────────────────────────┴─────────────────────────────────────────────────┘

Some frames may fail again and again at an origin that is well. So before it rests, the proxy asks it a small
question, with the credentials of the request that comes next. Only if it has no answer to that either, it
rests.

While the origin rests, a viewer that needs it gets an error at once, instead of waiting for a timeout. Frames
that are held are still served. After the rest, one request asks the question again, and all others wait for
the outcome, for `LONGEST_QUESTION` seconds at most. Forwarded requests count too, and are never delayed.

Retries are limited to a tenth of the requests that succeeded, so that an origin in trouble does not get twice
the load.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from proxy.errors import (
    NoToken,
    OriginBusy,
    OriginError,
    OriginFailed,
    OriginHungUp,
    OriginMismatch,
    OriginRefused,
    OriginStalled,
    OriginTimeout,
    OriginUnreachable,
)
from proxy.telemetry.outage import Outage
from proxy.telemetry.telemetry import Telemetry
from proxy.telemetry.troubles import Troubles

FAILURES = 5
"""Failures in a row after which the origin is doubted."""
REST = 5.0
"""Seconds for which the origin rests."""
LONGEST_QUESTION = 10.0
"""Seconds after which a question counts as not answered."""
MOST_AGAIN = 10.0
"""Retries that are allowed before any request has succeeded, and the most that can be saved up."""
AGAIN_FOR_EACH = 0.1
"""Retries that each success adds."""
BUSY = (429, 502, 503, 504)
"""Statuses after which a retry may succeed."""
TROUBLES: tuple[tuple[type[OriginError], str], ...] = (
    (OriginStalled, "stalled"),
    (OriginTimeout, "late"),
    (OriginHungUp, "cut"),
    (OriginUnreachable, "unreachable"),
    (OriginBusy, "busy"),
    (OriginFailed, "failed"),
)
"""Kinds of errors of an origin that are remembered. A refusal is none: it concerns a caller or a frame."""
Question = Callable[[], Awaitable[bool]]
"""Asks the origin a small question. Returns True if the origin answered it, even with an error."""


def is_down(status: int) -> bool:
    """True if a status says that a gateway did not reach the origin behind it."""
    return status in (502, 504)


class Health:
    """The health of one origin."""

    def __init__(self, origin: str, telemetry: Telemetry, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = self._errors = 0
        self._rests_until: float | None = None
        self._asked: asyncio.Event | None = None
        self._again = MOST_AGAIN
        # Both are 0 until the origin has answered.
        self._up = telemetry.metrics.origin_up.labels(origin)
        self._reached = telemetry.metrics.origin_reached.labels(origin)
        self.outage = Outage(origin, clock)
        """Says in the log that the origin is down."""
        self.troubles = Troubles()
        """All that went wrong in the last hour."""
        self.was_reached = False
        """True if the origin has answered since the start."""

    @property
    def is_doubted(self) -> bool:
        """True if the last requests failed, so that each request has to be admitted."""
        return self._failures >= FAILURES

    @property
    def is_resting(self) -> bool:
        """True if the origin answered nothing, so that it is not asked."""
        return self._rests_until is not None

    async def admit(self, question: Question) -> None:
        """Returns once the origin may be asked. Raises `OriginBusy` if it rests."""
        while self.is_doubted:
            if self._asked is not None:
                if not self.is_resting:
                    return  # as long as nothing is known, nobody waits for another request's question
                await self._asked.wait()
            elif (left := (self._rests_until or 0.0) - self._clock()) > 0:
                self.outage.down("it answers nothing")
                raise OriginBusy(503, left)
            else:
                await self._ask(question)

    async def _ask(self, question: Question) -> None:
        """Asks the question. If this request is cancelled meanwhile, the next one asks."""
        asked = self._asked = asyncio.Event()
        try:
            async with asyncio.timeout(LONGEST_QUESTION):
                is_answered = await question()
        except TimeoutError:
            is_answered = False
        finally:
            self._asked = None
            asked.set()
        if is_answered:
            self._is_there(self._errors)
        elif self.is_doubted:  # it has answered no other request meanwhile
            self._rests_until = self._clock() + REST

    def well(self, *, is_frame: bool = False) -> None:
        """The origin answered. Its frames may be fine while its searches fail."""
        self._again = min(MOST_AGAIN, self._again + AGAIN_FOR_EACH)
        self._reach()
        self._is_there(self._errors if is_frame else 0)

    def note(self, error: OriginError, *, is_frame: bool = True) -> None:
        """A request failed. That counts if the origin is down or in trouble, but not if it limits (429).

        An origin is said to be down, too, if searches, or other requests that are for no frame, fail several
        times in a row. But it is asked on: its frames may be fine. If there was no token to send, it says
        nothing of the origin.
        """
        if isinstance(error, NoToken):
            return
        self.remember(error)
        is_trouble = isinstance(error, OriginBusy) and is_down(error.status)
        if is_trouble or isinstance(error, OriginUnreachable | OriginTimeout):
            self._failures += 1
            self._errors += not (is_frame or isinstance(error, OriginUnreachable))
            if self.is_doubted or self._errors >= FAILURES:
                self._say_down(error)
            return
        if isinstance(error, OriginRefused):
            self._reach()
        is_busy = isinstance(error, OriginBusy) and error.status >= 500
        is_answer = not (is_busy or isinstance(error, OriginFailed))
        self._is_there(0 if is_answer else self._errors + (not is_frame))
        if self._errors >= FAILURES:
            self._say_down(error)

    def _say_down(self, error: OriginError) -> None:
        self._up.set(0)
        said = f"it answers {error.status}" if isinstance(error, OriginBusy) else type(error).__name__
        self.outage.down(said)

    def remember(self, error: OriginError) -> None:
        """A request failed, or its body did, which says nothing of the origin as a whole."""
        if kind := _trouble_of(error):
            self.troubles.note(kind)

    def _reach(self) -> None:
        if not self.was_reached:
            self.was_reached = True
            self._reached.set(1)

    def _is_there(self, errors: int) -> None:
        self._failures, self._rests_until, self._errors = 0, None, errors
        if errors < FAILURES:
            self.outage.back()
            self._up.set(int(self.was_reached))

    def may_ask_again(self) -> bool:
        """Counts a retry, and returns True if a failed request may be retried now."""
        if self._again < 1:
            return False
        self._again -= 1
        return True


def _trouble_of(error: OriginError) -> str:
    """The kind under which an error is remembered: of a response that was rejected, its reason."""
    if isinstance(error, OriginMismatch):
        return error.reason
    if isinstance(error, OriginBusy) and error.status not in BUSY:  # any 5xx of a forwarded request
        return "failed"
    return next((kind for each, kind in TROUBLES if isinstance(error, each)), "")

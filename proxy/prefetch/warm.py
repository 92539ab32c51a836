"""Searches whose studies are fetched before anybody asks, and how far that has come, as values."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from proxy.access.caller import Caller
from proxy.plan.study import Depth
from proxy.prefetch.run import NO_LIMIT, Budget, Run, State

Pairs = tuple[tuple[str, str], ...]
COUNTS = ("studies", "done", "skipped", "failed", "bytes", "requests")
"""The numbers of a progress."""


@dataclass(frozen=True, slots=True)
class Warm:
    """A search whose studies are fetched before anybody asks."""

    name: str
    """Its name."""
    origin: str
    """Name of the origin."""
    search: Pairs
    """Parameters of the search, with dates relative to today."""
    caller: Callable[[], Awaitable[Caller]]
    """The caller with whose credentials the origin is asked. Raises `ProxyError`."""
    profile: str | None = None
    """Name of the profile; None chooses one for each series."""
    depth: Depth = "all"
    """How much of each series."""
    budget: Budget = NO_LIMIT
    """The most that is fetched each time."""
    studies: int = 200
    """Most studies of the search."""
    priors: int = 0
    """Most earlier studies of each patient."""
    prior_days: int = 0
    """Greatest age of such a study in days."""
    every: float | None = None
    """Seconds from the end of one time to the next; None if there is none, or another schedule."""
    cron: str | None = None
    """Schedule with the five fields of cron."""
    form: str = ""
    """Form of the frames, unless a stage names one."""


@dataclass(slots=True, eq=False)
class Progress:
    """How far it has come, this time or the last."""

    state: str = "idle"
    """The state; that of a run, or idle."""
    studies: int = 0
    """Studies that were found."""
    done: int = 0
    """Studies of which all is fetched."""
    skipped: int = 0
    """Studies that had not changed since all of them was fetched."""
    failed: int = 0
    """Studies of which something could not be fetched."""
    fetched: int = 0
    """Bytes that came from the origin, without those of the plan that runs."""
    requests: int = 0
    """Fetches and resources, likewise."""
    error: str = ""
    """Class name of the last error; empty if there was none."""
    began: datetime | None = None
    """When it began."""
    ended: datetime | None = None
    """When it ended; None until then."""
    run: Run | None = None
    """The plan that runs now."""

    @property
    def bytes(self) -> int:
        """Bytes that came from the origin."""
        return self.fetched + (0 if self.run is None else self.run.fetched)

    @property
    def is_running(self) -> bool:
        """True until it has ended."""
        return self.state == State.RUNNING

    def left_of(self, budget: Budget) -> Budget | None:
        """The rest of a budget; None if it is used up."""
        size = None if budget.bytes is None else budget.bytes - self.fetched
        requests = None if budget.requests is None else budget.requests - self.requests
        is_over = any(left is not None and left <= 0 for left in (size, requests))
        return None if is_over else Budget(size, requests)

"""Answers requests that are repeated byte for byte, without reading them again.

The ordinary way takes 0.3 ms of processor time to find that nothing has changed since the last time. So the
proxy keeps the head of a response that went out from the cache, under a keyed digest of the request. It sends
that head again only if the ordinary way would send the same:

- the cache holds that very frame, fresh and whole, and no fill of it is under way;
- the caller is still let in, and nobody is due to be asked about that (the ordinary way asks in time);
- the profiles are the same, and the request can neither start nor move a plan.

Otherwise the ordinary way answers. It makes each head that is kept here, and this room makes none. The
digest covers the whole request, so a caller gets only what its own credential got. No credential is kept, and
no byte of a frame.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from time import perf_counter, time
from weakref import ref

from proxy.access.authorizer import Pairs
from proxy.access.caller import Caller
from proxy.cache.kept import ENTRY, NAME, Kept
from proxy.cache.store import Store
from proxy.cache.uses import NO_MARK, Mark
from proxy.fetch.permits import Permits
from proxy.fetch.retrieve import Reading, Retrieval, Retrieve
from proxy.fetch.source import CacheOutcome, HeldFrame
from proxy.frame.frame import Frame, cut
from proxy.frame.key import FrameKey
from proxy.plan.choice import CurrentChoice, ProfileChoice
from proxy.prefetch.plans import Plans
from proxy.telemetry.deliveries import Tally
from proxy.telemetry.traces import Facts, Traces, exemplar_of
from proxy.viewers.delivery import DeliveryProgress, cache_status
from proxy.viewers.outcomes import Outcomes
from proxy.viewers.response import ResponseHead
from proxy.viewers.writes import Writes

LONGEST = 4096
"""Bytes of the longest request that is looked up."""
MOST_KEPT = 16384
"""Most heads of responses that are kept."""
STEP = 1024
"""Bytes that the name and the attributes of a span may take."""

_TIMING = re.compile(rb"(?<=\r\nserver-timing: )[^\r\n]*")
_SPENT = re.compile(rb"dur=[0-9.]+")


@dataclass(frozen=True, slots=True)
class Repeat:
    """The facts on which a response rests, besides the request."""

    key: FrameKey
    """The frame, for this caller."""
    frame: ref[Frame]
    """The frame in the cache, which may evict it."""
    identity: bytes
    """`Caller.identity`."""
    until: float
    """`Caller.until`."""
    is_let_in: Callable[[], bool]
    """`Caller.is_let_in`."""
    trace: Pairs
    """`Caller.trace`, as far as the log names it."""
    choice: ProfileChoice
    """All profiles, and the rules."""
    profile: str
    """Name of the profile that was chosen."""
    head: ResponseHead
    """The response, without its headers."""
    step: tuple[str, Facts] | None = None
    """Name and attributes of the request's span; None without traces."""


def repeat_of(
    wanted: Retrieval,
    reading: Reading,
    caller: Caller,
    choice: ProfileChoice,
    profile: str,
    head: ResponseHead,
) -> Repeat | None:
    """The facts on which a response from the cache rests; None if the same request may not get it again."""
    source, is_hit = reading.source, reading.outcome is CacheOutcome.HIT
    if not (is_hit and isinstance(source, HeldFrame) and source.frame.is_whole):
        return None
    if wanted.key.picture is not None or choice.needs_facts or not wanted.is_small(source.size):
        return None
    trace = tuple(pair for pair in caller.trace if pair[0] == "traceparent")
    said, bare = (caller.identity, caller.until, caller.is_let_in), replace(head, headers=[])
    return Repeat(wanted.key, ref(source.frame), *said, trace, choice, profile, bare)


@dataclass(slots=True)
class _Kept:
    """A response that may be sent again."""

    repeat: Repeat
    status: bytes
    """The status line."""
    fields: bytes
    """The headers behind those of the server, with the empty line; then the envelope before the frame."""
    sent: int
    """Bytes of the frame."""
    size: int
    """Bytes of the body."""
    has_first: bool
    """True if a first picture counts as delivered with it."""
    has_final: bool
    """True if the frame counts as complete with it."""
    tally: Tally
    """The like of it."""
    mark: Mark = NO_MARK
    """A mark of the store, which counts as long as the store is known to hold the frame."""


def _size_of(_name: bytes, kept: _Kept) -> int:
    step = STEP if kept.repeat.step is not None else 0
    return NAME + 4 * ENTRY + len(kept.fields) + len(kept.repeat.head.after) + step


class Repeats:
    """The responses that may be sent again."""

    def __init__(
        self,
        retrieve: Retrieve,
        permits: Permits,
        chosen: CurrentChoice,
        plans: Plans,
        writes: Writes,
        outcomes: Outcomes,
        store: Store,
    ) -> None:
        self._retrieve = retrieve
        self._store = store
        self._permits = permits
        self._chosen = chosen
        self._plans = plans
        self._writes = writes
        self._outcomes = outcomes
        self._traces = outcomes.traces
        self.are_kept = True
        """False if the app has to see each request, as an audit needs."""
        self._secret = secrets.token_bytes(32)
        self._kept: Kept[bytes, _Kept] = Kept(store.ledger, MOST_KEPT, _size_of)

    def __len__(self) -> int:
        return len(self._kept)

    def name(self, asked: bytes) -> bytes:
        """The name of a request; from it, nobody can find out a credential."""
        return blake2b(asked, digest_size=16, key=self._secret).digest()

    def keep(self, name: bytes, repeat: Repeat, head: bytes, fields: bytes) -> None:
        """Keeps the head of a response that was sent to a request of this name.

        `fields` are the headers that the server put before the others; they change with the time.
        """
        status, _, rest = head.partition(b"\r\n")
        if not (self.are_kept and fields and rest.startswith(fields)):
            return
        said, progress = repeat.head, DeliveryProgress(0.0, outcome=CacheOutcome.HIT, profile=repeat.profile)
        sent = said.stop - said.span.start
        if sent:
            progress.count(sent, said)
        kept = _Kept(
            repeat,
            status + b"\r\n",
            _TIMING.sub(_at_once, rest.removeprefix(fields)) + said.before,
            sent,
            len(said.before) + sent + len(said.after),
            progress.first is not None,
            progress.final is not None,
            self._outcomes.tally(said.status, repeat.profile, CacheOutcome.HIT.value),
        )
        self._kept.put(name, kept)

    def answer(self, name: bytes, fields: bytes, *, is_turn: bool = False) -> Sequence[bytes] | None:
        """The response to a request of this name, in pieces; None if the ordinary way has to find it.

        It is empty if the response has to wait for its turn to be written, unless this `is_turn`.
        """
        began = perf_counter()
        kept = self._kept.get(name)
        if kept is None:
            return None
        repeat = kept.repeat
        frame = self._frame(kept)
        if frame is None:
            if repeat.frame() is None:
                self._kept.pop(name)
            return None
        if not (is_turn or self._writes.take_now(kept.size)):
            return ()
        if not self._plans.viewed_again(repeat.key, repeat.profile):
            return None
        spent, trace = perf_counter() - began, repeat.trace
        first, final = spent if kept.has_first else None, spent if kept.has_final else None
        kept.tally.note(kept.sent, first, final)
        if self._traces is not None:
            trace = _traced(self._traces, kept, spent)
            kept.tally.mark(first, final, exemplar_of(trace))
        if self._outcomes.are_told:
            self._tell(kept, began, trace)
        return [kept.status + fields + kept.fields, *_body(repeat.head, frame)]

    def later(self, name: bytes, then: Callable[[], None]) -> None:
        """Calls `then` when it is the turn of the response to a request of this name."""
        kept = self._kept.get(name)
        self._writes.later(0 if kept is None else kept.size, then)

    def _frame(self, kept: _Kept) -> Frame | None:
        """The frame, if all is as it was."""
        repeat = kept.repeat
        key, is_over = repeat.key, repeat.choice is not self._chosen.now or time() >= repeat.until
        if is_over or not (repeat.is_let_in() and self._permits.may_read_on(repeat.identity, key)):
            return None
        frame = repeat.frame()
        if frame is None or self._store.use(key, kept.mark):
            return frame
        if self._retrieve.held(key) is not frame:
            return None
        kept.mark = self._store.mark(key)
        return frame

    def _tell(self, kept: _Kept, began: float, trace: Pairs) -> None:
        repeat, key = kept.repeat, kept.repeat.key
        progress = DeliveryProgress(began, outcome=CacheOutcome.HIT, profile=repeat.profile)
        if kept.sent:
            progress.count(kept.sent, repeat.head)
        self._outcomes.tell(key.origin, key.resource, trace, progress, repeat.head.status)


def _traced(traces: Traces, kept: _Kept, spent: float) -> Pairs:
    """Makes a span of a request that was answered in `spent` seconds. Returns its trace context."""
    name, facts = kept.repeat.step or ("GET", {})
    ended: dict[str, str | int | float | list[str]] = {
        "http.response.status_code": kept.repeat.head.status,
        "http.response.body.size": kept.size,
        "http.response.header.cache-status": [cache_status(CacheOutcome.HIT)],
    }
    span = traces.span("server", name, (), {**facts, **ended}, seconds=spent)
    span.end()
    return span.headers


def _body(head: ResponseHead, frame: Frame) -> Sequence[bytes]:
    start, stop, pieces = head.span.start, head.stop, frame.pieces
    if start == 0 and not head.after and stop in (len(pieces[0]), frame.size):  # the most frequent ones
        return pieces if stop == frame.size else pieces[:1]
    return *cut(pieces, start, stop), *((head.after,) if head.after else ())


def _at_once(timing: re.Match[bytes]) -> bytes:
    return _SPENT.sub(b"dur=0.0", timing[0])

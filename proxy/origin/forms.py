"""The forms in which a frame can be requested, and which of them work at an origin.

Archives differ. Some support the single part form, in which a range is a range of the codestream (PS3.18
8.6). Others support only multipart, and each spells media types and transfer syntaxes its own way. At some
origins the form that works depends on how a frame is stored, so a form is learned for each series. Free forms
leave the choice of the transfer syntax to the origin, and many origins then decompress a stored frame. So a
free form is used only if no other form gives the frame, and no longer once another form gives a frame of the
series. All of this is learned anew after `LEARNED_FOR` seconds.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from proxy.cache.kept import Kept, Ledger
from proxy.frame.identity import Claim
from proxy.origin.spellings import HTJ2K_OR_STORED, Form, Spellings
from proxy.wire.media import is_htj2k

RELEARN = 3
"""Frames in a row for which another form worked and the known one did not, until the other is tried first."""
LEARNED_FOR = 600.0
"""Seconds after which one request tries anew what was learned."""
MOST_SERIES = 4096
"""Series whose form is remembered; the one that was learned first is dropped first."""
NO_RANGES = frozenset({403, 405, 412, 501})
"""Statuses with which some origins refuse a range; they send the whole frame without one."""
ELSEWISE = frozenset({400, 406, 415})
"""Statuses that refuse the form of a request."""
PERHAPS = frozenset({404, 500})
"""Statuses with which some origins refuse the form of a request, but most do not."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OriginReport:
    """The known facts of an origin; None if a fact is not known yet."""

    form: str | None
    """The form that worked last."""
    ranges: bool | None
    """True if the origin supports ranges."""
    validators: bool | None
    """True if its responses have a strong validator."""
    stable_multipart: bool
    """True if ranges of its multipart responses fit together."""
    resting: bool
    """True if it failed several times in a row, and is not asked for a while."""


@dataclass(slots=True)
class _Learned:
    """The facts learned of one series."""

    form: int
    """The form that works."""
    since: float
    """When the form was learned, or tried anew; in seconds."""
    worked: float
    """When the form worked last; in seconds."""
    is_doubted: bool = False
    """True if the form was tried anew, so that a single frame by another form replaces it."""
    instead: Counter[int] = field(default_factory=Counter)
    """By form, the number of frames for which that other form worked."""
    in_vain: int = 0
    """Frames that came decompressed and that no other form gave as stored."""


class Asking:
    """Learns which form works at one origin for each series."""

    def __init__(
        self,
        origin: str,
        known: int | None = None,
        clock: Callable[[], float] = monotonic,
        ledger: Ledger | None = None,
        spelled: Spellings = HTJ2K_OR_STORED,
    ) -> None:
        self._origin = origin
        self._spelled = spelled
        self._clock = clock
        self.known = known
        """The form that was learned last, here or for frames; None if no form was."""
        self._hint = known
        self.has_envelope = False
        """True if the last response was multipart, in any form of request."""
        self.has_stable_parts = False
        """True if multipart responses are the same each time, so that ranges of them fit together."""
        self.has_ranges: bool | None = None
        """True if the origin answered a range with a range, or says that it would; None if not known."""
        self.has_validators: bool | None = None
        """True if responses have a validator fit for If-Range; None if there was no response yet."""
        self._no_ranges_until = 0.0
        self._series: Kept[str, _Learned] = Kept(ledger, MOST_SERIES)
        self._worked: dict[int, float] = {}
        self._refused: dict[int, float] = {}
        self._in_vain = 0

    @property
    def forms(self) -> tuple[Form, ...]:
        """All forms of request."""
        return self._spelled.forms

    def forget(self) -> None:
        """Forgets all that was learned, so that each form is tried anew."""
        self.known = self._hint = self.has_ranges = self.has_validators = None
        self.has_envelope = self.has_stable_parts = False
        self._no_ranges_until, self._in_vain = 0.0, 0
        for series in self._series:
            self._series.pop(series)
        self._worked.clear()
        self._refused.clear()

    def first(self, series: str) -> int:
        """The form to try first."""
        learned = self._series.get(series)
        if learned is not None and self._clock() - learned.since <= LEARNED_FOR:
            return learned.form
        if learned is not None:  # this request tries anew; others use the known form meanwhile
            learned.since, learned.is_doubted = self._clock(), True
        return self._tried(self._ranked()[0] if self._hint is None else self._hint)

    def others(self, series: str, first: int, status: int) -> Iterator[int]:
        """The forms to try after the first one was refused with this status."""
        left = [form for form in self._ranked() if form != first]
        if status in PERHAPS and self.known is not None:
            # The origin may be in trouble, or the frame may not exist, so only a few forms are tried.
            learned = self._series.get(series)
            free = self._spelled.free
            wanted = {self._spelled.of_other_kind(first), self.known, learned.form if learned else None}
            if status == 500:  # Orthanc answers `transfer-syntax=*` with it, but not for every frame
                wanted.update(range(len(self.forms)) if first in free else free)
            left = [form for form in left if form in wanted and (form in free or self._is_stored(form))]
        elif status not in ELSEWISE | PERHAPS:
            left = []
        yield from map(self._tried, left)

    def stored(self) -> Iterator[int]:
        """The forms that may give a frame as it is stored, in the order in which to try them."""
        return map(self._tried, [form for form in self._ranked() if self._is_stored(form)])

    def may_be_decompressed(self, series: str, form: int) -> bool:
        """True if a frame that came in this form, and not compressed, may be stored compressed."""
        learned = self._series.get(series)
        return form in self._spelled.free and (learned is None or learned.in_vain < RELEARN)

    def was_stored_so(self, series: str) -> None:
        """Notes that a frame came not compressed in a free form, and that no other form gave it."""
        learned = self._series.get(series)
        if learned is not None:
            learned.in_vain += 1

    @property
    def takes_ranges(self) -> bool:
        """True if ranges are requested; False for a while if the origin refused one and gave the whole."""
        return not self._no_ranges_until or self._clock() > self._no_ranges_until

    def note_no_ranges(self) -> None:
        """Notes that the origin refused a range and gave the whole frame."""
        self.has_ranges = False
        self._no_ranges_until = self._clock() + LEARNED_FOR

    def _ranked(self) -> list[int]:
        """All forms: those that worked, those that may work, the free ones, and those that were refused."""
        return sorted(range(len(self.forms)), key=self._rank)

    def _rank(self, form: int) -> int:
        if form in self._spelled.free:
            return 2 if form in self._worked else 3
        if form in self._worked:
            return 0
        return 1 if self._is_stored(form) else 4

    def _is_stored(self, form: int) -> bool:
        """True if a form may give frames as they are stored: it is not free, and it was not refused."""
        age = self._clock() - self._refused.get(form, -inf)
        return form not in self._spelled.free and (form in self._worked or age >= LEARNED_FOR)

    def _tried(self, form: int) -> int:
        """Notes that a form is tried now, so that only this request retries a form refused long ago."""
        if form in self._refused:
            self._refused[form] = self._clock()
        return form

    def learn(
        self, series: str, claim: Claim, status: int, headers: Mapping[str, str], *, is_ranged: bool
    ) -> None:
        """Learns from a response that was accepted; `is_ranged` is True if a range was requested."""
        self.worked(series, claim.form)
        if status == 304:
            return
        self.has_validators = claim.validator is not None
        if is_ranged:
            self.has_ranges = status == 206
        elif self.has_ranges is None and headers.get("accept-ranges") == "bytes":
            self.has_ranges = True  # RFC 9110 14.3
        self.has_envelope = claim.offset > 0
        if self.has_envelope:
            self._in_vain = 0 if status == 206 else self._in_vain
            says_ranges = status == 206 or headers.get("accept-ranges") == "bytes"
            # Only HTJ2K shows its own length. A range of another codestream, such as JPEG-LS, would be
            # useless.
            is_told = is_htj2k(claim.label) or claim.label.startswith("application/octet-stream")
            is_fit = is_told and self._in_vain < RELEARN
            self.has_stable_parts = self.has_validators and says_ranges and is_fit

    def note_unfit_range(self) -> None:
        """Notes that a range of a multipart body did not show the length of its part."""
        self._in_vain += 1
        self.has_stable_parts = False

    def refused(self, refusals: Mapping[int, int]) -> None:
        """Notes the forms that were refused, by status, for a frame that another form gave."""
        now = self._clock()
        # A 500 may concern only one frame.
        for form in (form for form, status in refusals.items() if status != 500):
            self._refused[form] = now
            if now - self._worked.get(form, now) > LEARNED_FOR:
                del self._worked[form]

    def worked(self, series: str, form: int) -> None:
        """Notes that a response to a form was accepted."""
        now, learned = self._clock(), self._series.get(series)
        self._hint = None
        self._worked[form] = now
        if learned is not None and form == learned.form:
            learned.worked = now
            learned.instead.clear()
        elif learned is None or self._is_better(learned, form, now):
            if self.known != form:
                _log.info("form of asking", extra={"origin": self._origin, "form": str(self.forms[form])})
            self.known = form
            self._series.put(series, _Learned(form, now, now))

    def _is_better(self, learned: _Learned, form: int, now: float) -> bool:
        free = self._spelled.free
        if learned.form in free and form not in free:
            return True
        if form in free and learned.form not in free:
            return now - learned.worked > LEARNED_FOR
        # One frame that is not HTJ2K must not change the form for the others.
        learned.instead[form] += 1
        return learned.is_doubted or learned.instead[form] >= RELEARN

    def report(self, *, is_resting: bool) -> OriginReport:
        """Reports what is known of the origin."""
        return OriginReport(
            form=None if self.known is None else str(self.forms[self.known]),
            ranges=self.has_ranges,
            validators=self.has_validators,
            stable_multipart=self.has_stable_parts,
            resting=is_resting,
        )

"""The ways to ask an origin for a frame, and which of them works there.

Archives differ: some know the single part form, in which a range is a range of the codestream (PS3.18 8.6),
some multipart only, and each spells types and transfer syntaxes its own way. Some answer one form or another
by how a frame is stored, so a form is learned for a series. In some forms the choice is left to the origin,
and many origins then decompress what is stored: such a form is asked only if no other gives the frame, and no
more in a series of which another gives one. All of this is learned anew after `LEARNED_FOR`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from proxy.frame.identity import Claim
from proxy.wire.media import is_htj2k

RELEARN = 3
"""Frames of a series for which another form worked, the known one not once, until that one is asked first."""
LEARNED_FOR = 600.0
"""Seconds after which what was learned is tried anew, by one request."""
MOST_SERIES = 4096
"""Series whose form is remembered; the one that was learned first goes."""
NO_RANGES = frozenset({403, 405, 412, 501})
"""Statuses by which some origins refuse a range, and give the whole to who asks without one."""
ELSEWISE = frozenset({400, 406, 415})
"""Statuses that say "not like that"."""
PERHAPS = frozenset({404, 500})
"""Statuses that some origins mean the same by, and most do not."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to ask."""

    accept: str
    """The value of Accept."""
    query: str = ""
    """An argument for the URL (PS3.18 8.3.3.1)."""

    def __str__(self) -> str:
        """For people."""
        return f"?{self.query}" if self.query else self.accept

    @property
    def is_multipart(self) -> bool:
        """True if the body is to be an envelope around the codestream, not the codestream itself."""
        return "multipart" in self.accept


RPCL = "1.2.840.10008.1.2.4.202"

FORMS = (
    Form("image/jphc"),
    Form('multipart/related; type="image/jphc"; transfer-syntax=*'),
    Form('multipart/related; type="application/octet-stream"; transfer-syntax=*'),
    Form("application/octet-stream; transfer-syntax=*"),
    Form(f'multipart/related; type="application/octet-stream"; transfer-syntax={RPCL}'),
    Form("multipart/related; type=image/jphc; transfer-syntax=*"),
    Form(f'multipart/related; type="image/jphc; transfer-syntax={RPCL}"'),
    Form("*/*", "accept=image/jphc"),
    Form('multipart/related; type="application/octet-stream"'),
    Form("multipart/related"),
)
"""In the order in which they are tried."""
FREE = (7, 8, 9)
"""Those that leave the choice to the origin, as the first of them does if the origin reads no arguments."""
_OTHER_KIND = (2, 0)
"""The form to try of the other kind: for a single part, and for multipart."""


@dataclass(frozen=True, slots=True)
class OriginReport:
    """The abilities that an origin's responses showed; None if not known."""

    form: str | None
    """The form in which it is asked."""
    ranges: bool | None
    """True if it answers ranges."""
    validators: bool | None
    """True if its answers carry a strong validator."""
    stable_multipart: bool
    """True if ranges inside its multipart answers fit together."""
    resting: bool
    """True if it failed again and again, and is left alone."""


@dataclass(slots=True)
class _Learned:
    """The knowledge about one series."""

    form: int
    """Which form works."""
    since: float
    """When that was learned, or tried anew."""
    worked: float
    """When the form worked last."""
    is_doubted: bool = False
    """True if it was tried anew, so that one frame which another form gives is enough to learn that."""
    instead: Counter[int] = field(default_factory=Counter)
    """Frames for which another form worked, by form."""
    in_vain: int = 0
    """Frames that came decompressed, and for which no other form gave what is stored."""


class Asking:
    """Which form works at one origin, series by series."""

    def __init__(self, origin: str, known: int | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self.known = known
        """Which one was learned last, here or for frames; None as long as none was."""
        self._hint = known
        self.has_envelope = False
        """True if its last answer was multipart, in whichever form it was asked."""
        self.has_stable_parts = False
        """True if its multipart answers are the same each time, so that ranges of them fit together."""
        self.has_ranges: bool | None = None
        """True if it answered a range by a range; None where none was asked."""
        self.has_validators: bool | None = None
        """True if its answers carry a validator that is fit for If-Range; None where there was no answer."""
        self._no_ranges_until = 0.0
        self._series: dict[str, _Learned] = {}
        self._worked: dict[int, float] = {}
        self._refused: dict[int, float] = {}
        self._in_vain = 0

    def first(self, series: str) -> int:
        """The form to begin with."""
        learned = self._series.get(series)
        if learned is not None and self._clock() - learned.since <= LEARNED_FOR:
            return learned.form
        if learned is not None:  # this request tries anew; others go on meanwhile
            learned.since, learned.is_doubted = self._clock(), True
        return self._tried(self._ranked()[0] if self._hint is None else self._hint)

    def others(self, series: str, first: int, status: int) -> Iterator[int]:
        """The forms to try after a refusal of the first one by this status."""
        left = [form for form in self._ranked() if form != first]
        if status in PERHAPS and self.known is not None:
            # An origin in trouble, or a frame that is not there, is not asked ten times.
            learned = self._series.get(series)
            wanted = {_OTHER_KIND[FORMS[first].is_multipart], self.known, learned.form if learned else None}
            if status == 500:  # Orthanc says so to `transfer-syntax=*`, but not for every frame
                wanted.update(range(len(FORMS)) if first in FREE else FREE)
            left = [form for form in left if form in wanted and (form in FREE or self._is_stored(form))]
        elif status not in ELSEWISE | PERHAPS:
            left = []
        yield from map(self._tried, left)

    def stored(self) -> Iterator[int]:
        """The forms that may give a frame as it is stored, in the order in which to try them."""
        return map(self._tried, [form for form in self._ranked() if self._is_stored(form)])

    def may_be_decompressed(self, series: str, form: int) -> bool:
        """True if a frame that came uncompressed in this form may be stored compressed."""
        learned = self._series.get(series)
        return form in FREE and (learned is None or learned.in_vain < RELEARN)

    def was_stored_so(self, series: str) -> None:
        """No other form gave a frame that came in a free form and not compressed."""
        if series in self._series:
            self._series[series].in_vain += 1

    @property
    def takes_ranges(self) -> bool:
        """True if ranges are to be asked for: for a time not, if it refused one and gave the whole."""
        return not self._no_ranges_until or self._clock() > self._no_ranges_until

    def note_no_ranges(self) -> None:
        """It refused a range and gave the whole."""
        self.has_ranges = False
        self._no_ranges_until = self._clock() + LEARNED_FOR

    def _ranked(self) -> list[int]:
        """All: those that worked, those that may, those that leave the choice, those that were refused."""
        return sorted(range(len(FORMS)), key=self._rank)

    def _rank(self, form: int) -> int:
        if form in FREE:
            return 2 if form in self._worked else 3
        if form in self._worked:
            return 0
        return 1 if self._is_stored(form) else 4

    def _is_stored(self, form: int) -> bool:
        """True if it may give frames as they are stored: it leaves no choice, and was not refused."""
        age = self._clock() - self._refused.get(form, -inf)
        return form not in FREE and (form in self._worked or age >= LEARNED_FOR)

    def _tried(self, form: int) -> int:
        """A form that is tried now: if it was refused long ago, by this request only."""
        if form in self._refused:
            self._refused[form] = self._clock()
        return form

    def learn(
        self, series: str, claim: Claim, status: int, headers: Mapping[str, str], *, is_ranged: bool
    ) -> None:
        """An answer was believed; `is_ranged` if a range was asked for."""
        self.worked(series, claim.form)
        self.has_validators = claim.validator is not None
        if is_ranged:
            self.has_ranges = status == 206
        self.has_envelope = claim.offset > 0
        if self.has_envelope:
            self._in_vain = 0 if status == 206 else self._in_vain
            says_ranges = status == 206 or headers.get("accept-ranges") == "bytes"
            # Formats other than HTJ2K do not tell their own length: a range would be in vain.
            is_told = is_htj2k(claim.label) or claim.label.startswith("application/octet-stream")
            is_fit = is_told and self._in_vain < RELEARN
            self.has_stable_parts = self.has_validators and says_ranges and is_fit

    def note_unfit_range(self) -> None:
        """A range of a multipart body told nothing of its part, as with what does not know its own length."""
        self._in_vain += 1
        self.has_stable_parts = False

    def refused(self, refusals: Mapping[int, int]) -> None:
        """Forms that were refused by these statuses for a frame that another form gave."""
        now = self._clock()
        for form in (form for form, status in refusals.items() if status != 500):  # that tells of one frame
            self._refused[form] = now
            if now - self._worked.get(form, now) > LEARNED_FOR:
                del self._worked[form]

    def worked(self, series: str, form: int) -> None:
        """An answer to a form was believed."""
        now, learned = self._clock(), self._series.get(series)
        self._hint = None
        self._worked[form] = now
        if learned is not None and form == learned.form:
            learned.worked = now
            learned.instead.clear()
        elif learned is None or self._is_better(learned, form, now):
            if self.known != form:
                _log.info("form of asking", extra={"origin": self._origin, "form": str(FORMS[form])})
            self.known = form
            self._series.pop(series, None)
            self._series[series] = _Learned(form, now, now)
            while len(self._series) > MOST_SERIES:
                del self._series[next(iter(self._series))]

    @staticmethod
    def _is_better(learned: _Learned, form: int, now: float) -> bool:
        if learned.form in FREE and form not in FREE:
            return True
        if form in FREE and learned.form not in FREE:
            return now - learned.worked > LEARNED_FOR
        # One frame that is not HTJ2K must not change how the others are asked for.
        learned.instead[form] += 1
        return learned.is_doubted or learned.instead[form] >= RELEARN

    def report(self, *, is_resting: bool) -> OriginReport:
        """The abilities that the origin's responses showed."""
        return OriginReport(
            form=None if self.known is None else str(FORMS[self.known]),
            ranges=self.has_ranges,
            validators=self.has_validators,
            stable_multipart=self.has_stable_parts,
            resting=is_resting,
        )

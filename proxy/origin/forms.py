"""The ways to ask an origin for a frame, and which of them works there.

Archives differ: some know the single part form, in which a range is a range of the codestream (PS3.18 8.6),
some multipart alone, and each spells types and transfer syntaxes its own way. What worked is asked first from
then on; what stops working is learned anew.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proxy.cache.frame import Claim
from proxy.wire.media import is_htj2k

RELEARN = 3
"""Frames for which another form worked, the known one not once, until that one is asked first."""
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
    def is_single(self) -> bool:
        """Whether the body is to be the codestream itself."""
        return "multipart" not in self.accept


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
"""In the order in which they are tried; the last two leave the choice to the origin."""
_FREE = (len(FORMS) - 2, len(FORMS) - 1)
_OTHER_KIND = (2, 0)
"""The form to try of the other kind: for a single part, and for multipart."""


@dataclass(frozen=True, slots=True)
class OriginReport:
    """What an origin was seen to do; None where it was not seen yet."""

    form: str | None
    """What it is asked by."""
    ranges: bool | None
    """Whether it answers ranges."""
    validators: bool | None
    """Whether its answers carry a strong validator."""
    stable_multipart: bool
    """Whether ranges inside its multipart answers fit together."""
    resting: bool
    """Whether it failed again and again, and is left alone."""


class Asking:
    """Which form works at one origin."""

    def __init__(self, origin: str, known: int | None = None) -> None:
        self._origin = origin
        self.known = known
        """Which one worked, here or for frames; None as long as none did."""
        self._has_worked_here = False
        self.has_envelope = False
        """Whether its last answer was multipart, in whichever form it was asked."""
        self.has_stable_parts = False
        """Whether its multipart answers are the same each time, so that ranges of them fit together."""
        self.has_ranges: bool | None = None
        """Whether it answered a range by a range; None where none was asked."""
        self.has_validators: bool | None = None
        """Whether its answers carry a validator that is fit for If-Range; None where there was no answer."""
        self._instead: Counter[int] = Counter()
        self._in_vain = 0

    @property
    def first(self) -> int:
        """The form to begin with."""
        return self.known or 0

    def others(self, status: int) -> Iterator[int]:
        """The forms to try after a refusal of the first one by this status."""
        if status in ELSEWISE or (status in PERHAPS and self.known is None):
            yield from (form for form in range(len(FORMS)) if form != self.first)
        elif status in PERHAPS:
            # An origin in trouble, or a frame that is not there, is not asked ten times.
            yield _OTHER_KIND[0] if FORMS[self.first].is_single else _OTHER_KIND[1]
            if status == 500:  # Orthanc says so to `transfer-syntax=*`, but not for every frame
                yield from (form for form in _FREE if form != self.first)

    def learn(self, claim: Claim, status: int, headers: Mapping[str, str], is_ranged: bool) -> None:
        """An answer was believed; `is_ranged` if a range was asked for."""
        self.worked(claim.form)
        self.has_validators = claim.validator is not None
        if is_ranged:
            self.has_ranges = status == 206
        self.has_envelope = claim.offset > 0
        if self.has_envelope:
            self._in_vain = 0 if status == 206 else self._in_vain
            says_ranges = status == 206 or headers.get("accept-ranges") == "bytes"
            # What is not HTJ2K, as JPEG-LS, does not tell its own length: a range of it would be in vain.
            is_told = is_htj2k(claim.label) or claim.label.startswith("application/octet-stream")
            is_fit = is_told and self._in_vain < RELEARN
            self.has_stable_parts = self.has_validators and says_ranges and is_fit

    def note_unfit_range(self) -> None:
        """A range of a multipart body told nothing of its part, as with what does not know its own length."""
        self._in_vain += 1
        self.has_stable_parts = False

    def worked(self, form: int) -> None:
        """An answer to a form was believed."""
        is_proved, self._has_worked_here = self._has_worked_here, True
        if form == self.known:
            self._instead.clear()
            return
        self._instead[form] += 1
        # One frame that is not HTJ2K must not change how the others are asked for.
        if not is_proved or self._instead[form] >= RELEARN:
            _log.info("form of asking", extra={"origin": self._origin, "form": str(FORMS[form])})
            self.known = form
            self._instead.clear()

    def report(self, *, is_resting: bool) -> OriginReport:
        """What the origin was seen to do."""
        return OriginReport(
            form=None if self.known is None else str(FORMS[self.known]),
            ranges=self.has_ranges,
            validators=self.has_validators,
            stable_multipart=self.has_stable_parts,
            resting=is_resting,
        )

"""Says what is wrong with an origin, in sentences for its operators. Pure."""

from collections.abc import Iterator, Mapping
from math import isnan
from time import time

from proxy.admin.status import Fault
from proxy.origin.forms import OriginReport
from proxy.origin.spellings import FORMS, FREE
from proxy.telemetry.outage import Outage

DAY = 86400
SOON = 14
"""Days before the end of a certificate or token from which on that is a fault."""


def wrong_with(
    report: OriginReport,
    outage: Outage,
    unreached: str,
    mismatches: Mapping[str, int],
    ends: Mapping[str, float],
) -> list[Fault]:
    """The faults of an origin, the worst first.

    `unreached` says why it never answered; empty if it has. `mismatches` are responses that were rejected, by
    reason, and `ends` the Unix times at which its certificate or token ends, by kind.
    """
    bad = [*_down(report, outage, unreached), *_ending(ends, time())]
    return sorted([*bad, *_slower(report), *_rejected(mismatches)], key=lambda fault: fault.level != "bad")


def _down(report: OriginReport, outage: Outage, unreached: str) -> Iterator[Fault]:
    if unreached:
        yield Fault(level="bad", what=f"It has not responded since the proxy started: {unreached}.")
    elif outage.is_on:
        yield Fault(level="bad", what=f"It has been down for {outage.seconds:.0f} s: {outage.why}.")
    if report.resting:
        yield Fault(level="bad", what="It rests: the proxy does not ask it for frames for some seconds.")


def _ending(ends: Mapping[str, float], now: float) -> Iterator[Fault]:
    for kind, end in ends.items():
        if isnan(end):
            continue
        days = (end - now) / DAY
        if days < 0:
            yield Fault(level="bad", what=f"The proxy's {kind} for it has ended.")
        elif days < SOON:
            yield Fault(level="warn", what=f"The proxy's {kind} for it ends in {days:.0f} days.")


def _slower(report: OriginReport) -> Iterator[Fault]:
    if report.ranges is False:
        yield Fault(level="warn", what="It has no ranges, so a first picture waits for the whole frame.")
    if report.validators is False:
        words = "It sends no strong ETag, so the proxy checks a completion only by its length."
        yield Fault(level="warn", what=words)
    if report.form in {str(FORMS[form]) for form in FREE}:
        words = "It gives frames only in a form of its own choice, so it may decompress them."
        yield Fault(level="warn", what=words)


def _rejected(mismatches: Mapping[str, int]) -> Iterator[Fault]:
    if number := sum(mismatches.values()):
        words = ", ".join(f"{reason} {count}" for reason, count in mismatches.items() if count)
        yield Fault(
            level="warn", what=f"The proxy rejected {number} of its responses since the start: {words}."
        )

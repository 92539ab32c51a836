"""Says what is wrong with an origin, in sentences for its operators. Pure."""

from collections.abc import Iterator, Mapping
from math import isnan
from time import time

from proxy.admin.status import Fault
from proxy.origin.forms import OriginReport
from proxy.origin.spellings import FORMS, FREE
from proxy.telemetry.outage import Outage
from proxy.telemetry.troubles import Trouble

DAY = 86400
SOON = 14
"""Days before the end of a certificate or token from which on that is a fault."""

RANGE = "range"
NO_RANGES = "It has no ranges, so a first picture waits for the whole frame."
WORDS = {
    "unreachable": "The proxy could not connect to it.",
    "late": "It did not begin to answer in time.",
    "stalled": "It fell silent inside a response, or sent it too slowly.",
    "cut": "It ended a response before the last byte.",
    "busy": "It was too busy to answer, or the server behind it was (429, 502, 503 or 504).",
    "failed": "It answered with an error of its own, or hung up without an answer.",
    RANGE: "It sent a whole frame instead of the range that the proxy asked for.",
    "content_range": "It sent another range than the proxy asked for, or did not say which one.",
    "length": "It sent more or fewer bytes than it had announced.",
    "too_large": "It sent more bytes than the bounds allow.",
    "encoding": "It sent a content coding that can't be undone.",
    "media_type": "It sent something else instead of a frame.",
    "text": "It sent a text, and called it a frame.",
    "multipart": "It sent a multipart response that can't be read, or a range of one that does not fit.",
    "delimiter": "It sent a multipart response that has no end, or more than one part.",
    "markers": "It sent two pieces of a frame that do not fit together.",
    "metadata": "It sent metadata that can't be read.",
    "search": "It sent a search result that can't be read.",
    "validator": "A frame had another version, or none, when the proxy asked for its rest.",
    "total": "A frame had another length when the proxy asked for its rest.",
    "label": "A frame had another media type or length when the proxy asked for its rest.",
    "bytes": "A frame had other bytes when the proxy asked for it again.",
    "digest": "A frame had other bytes when the proxy asked for it again.",
}
"""A sentence for each kind of trouble."""
OTHER = "It sent a response that the proxy can't trust."


def wrong_with(
    report: OriginReport,
    outage: Outage,
    unreached: str,
    troubles: Mapping[str, Trouble],
    ends: Mapping[str, float],
) -> list[Fault]:
    """The faults of an origin: the worst first, then what is so, then the troubles, the latest first.

    `unreached` says why it never answered; empty if it has. `troubles` are those of the last hour, and `ends`
    the Unix times at which its certificate or token ends, by kind.
    """
    now = time()
    down = [*_down(report, outage, unreached, now)]
    known = {kind: each for kind, each in troubles.items() if not (down and kind == "unreachable")}
    faults = [*down, *_ending(ends, now), *_slower(report, known), *_troubled(report, known)]
    return sorted(faults, key=order_of)


def order_of(fault: Fault) -> tuple[bool, float]:
    """Where a fault stands among others."""
    return fault.level != "bad", -fault.last if fault.last is not None else -float("inf")


def _down(report: OriginReport, outage: Outage, unreached: str, now: float) -> Iterator[Fault]:
    if unreached:
        yield Fault(level="bad", what=f"It has not responded since the proxy started: {unreached}.")
    elif outage.is_on:
        yield Fault(level="bad", what=f"It is down: {outage.why}.", since=now - outage.seconds)
    if report.resting:
        yield Fault(level="bad", what="It rests: the proxy does not ask it for frames for some seconds.")


def _ending(ends: Mapping[str, float], now: float) -> Iterator[Fault]:
    for kind, end in ends.items():
        if isnan(end):
            continue
        days = (end - now) / DAY
        if days < 0:
            yield Fault(level="bad", what=f"The proxy's {kind} for it has ended.", since=end)
        elif days < SOON:
            yield Fault(level="warn", what=f"The proxy's {kind} for it ends in {days:.0f} days.")


def _slower(report: OriginReport, troubles: Mapping[str, Trouble]) -> Iterator[Fault]:
    if report.ranges is False:
        yield _fault(NO_RANGES, troubles.get(RANGE))
    if report.validators is False:
        words = "It sends no strong ETag, so the proxy checks a completion only by its length."
        yield _fault(words)
    if report.form in {str(FORMS[form]) for form in FREE}:
        words = "It gives frames only in a form of its own choice, so it may decompress them."
        yield _fault(words)


def _troubled(report: OriginReport, troubles: Mapping[str, Trouble]) -> Iterator[Fault]:
    for kind, trouble in troubles.items():
        if kind != RANGE or report.ranges is not False:
            yield _fault(WORDS.get(kind, OTHER), trouble)


def _fault(what: str, trouble: Trouble | None = None) -> Fault:
    if trouble is None:
        return Fault(level="warn", what=what)
    return Fault(level="warn", what=what, times=trouble.times, last=trouble.last)


def together(faults: list[Fault]) -> list[Fault]:
    """One list of the faults that several workers found with one origin."""
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        found.setdefault(fault.what, []).append(fault)
    return sorted(map(_one_of, found.values()), key=order_of)


def _one_of(same: list[Fault]) -> Fault:
    since = [fault.since for fault in same if fault.since is not None]
    times = [fault.times for fault in same if fault.times is not None]
    last = [fault.last for fault in same if fault.last is not None]
    told = {"since": min(since, default=None), "times": sum(times) or None, "last": max(last, default=None)}
    return same[0].model_copy(update=told)

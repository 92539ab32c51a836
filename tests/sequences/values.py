"""The events of a sequence as values, and random sequences.

The ordinary choice always comes first, because failing examples shrink towards it.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, fields
from random import Random
from typing import Any, Literal, TypeVar

from tests.sequences.versions import FRAMES, Form

Guard = Literal["etag", "date", "weak", "none"]
Envelope = Literal["single", "stable", "anew"]
Ranges = Literal["heeded", "ignored", "shifted", "short", "total", "star", "unsaid", "no numbers"]
Coding = Literal["plain", "chunked", "gzip", "until closed"]
End = Literal["whole", "slow", "hung up", "silent"]
Policy = Literal["strict", "length", "off"] | None
Kind = Literal["look", "release", "end", "replace", "crowd", "plan", "cancel"]
One = TypeVar("One")


class Told:
    """A value whose repr shows only the fields that differ from their defaults."""

    def __repr__(self) -> str:
        named = ((each.name, getattr(self, each.name), each.default) for each in fields(self))  # type: ignore[arg-type]  # all are dataclasses
        unusual = ", ".join(f"{name}={value!r}" for name, value, usual in named if value != usual)
        return f"{type(self).__name__}({unusual})"


@dataclass(frozen=True, repr=False)
class Deed(Told):
    """The origin's treatment of one request for a frame."""

    is_new: bool = False
    """True if a new version of the frame is stored just before."""
    status: int = 200
    """Status of the response. If it is not 200, the response has no body."""
    ranges: Ranges = "heeded"
    heeds_if_range: bool = True
    is_bare: bool = False
    """True if the origin sends no validator."""
    coding: Coding = "plain"
    end: End = "whole"
    share: float = 0.5
    """Share of the body that the origin sends before `end` happens."""

    @property
    def is_good(self) -> bool:
        """True if every viewer gets a complete response in spite of this deed."""
        return (
            not self.is_new
            and self.status == 200
            and self.ranges in ("heeded", "ignored")
            and self.end in ("whole", "slow")
        )


@dataclass(frozen=True, repr=False)
class Ask(Told):
    """A viewer's request. The viewer may leave after some bytes."""

    frame: int = 0
    """0-based."""
    query: str = ""
    """Query of the request. `fsiz=200,200&` requests a smaller picture."""
    accept: str = "image/jphc"
    range: str = ""
    condition: str = ""
    """Name of a conditional header. Its value is the newest ETag seen for the frame."""
    is_stale: bool = False
    """True if the condition gets the oldest ETag instead, or one that never existed."""
    method: str = "GET"
    profile: str = "eager"
    leaves_at: int | None = None


@dataclass(frozen=True, repr=False)
class Act(Told):
    """Any other event."""

    kind: Kind = "look"
    number: int = 0
    """0-based frame, or the KiB that come into the cache."""
    profile: str = "sequential"


@dataclass(frozen=True, repr=False)
class Sequence(Told):
    """A complete sequence."""

    guard: Guard = "etag"
    envelope: Envelope = "single"
    has_twins: bool = False
    """True if versions have equal lengths, and equal first bytes if they are not HTJ2K."""
    form: Form = "htj2k"
    """The codec of the frames."""
    policies: tuple[Policy, Policy] = (None, None)
    """The guard of completions, for profiles that always complete and for those that complete on demand."""
    deeds: tuple[Deed, ...] = ()
    """The origin's deeds in order. After the last one it behaves correctly."""
    steps: tuple[Ask | Act, ...] = ()
    cache_control: str = ""
    """Cache-Control of all frames. Empty for none."""

    @property
    def is_tame(self) -> bool:
        """True if nothing happens that could leave a viewer without a response."""
        is_replaced = any(isinstance(step, Act) and step.kind == "replace" for step in self.steps)
        is_bare = any(deed.is_bare for deed in self.deeds)
        is_guarded = self.guard in ("etag", "date") and not is_bare
        if is_bare and self.form != "htj2k" and self.guard == "etag":
            return False  # the proxy refuses a completion without the ETag
        if self.envelope == "anew" or is_replaced or ("strict" in self.policies and not is_guarded):
            return False
        return all(deed.is_good for deed in self.deeds)

    @property
    def is_never_stale(self) -> bool:
        """True if every response has to be the version that the origin stores."""
        # In these sequences a weak ETag is the same for all versions.
        return self.cache_control != "" and self.guard != "weak"

    def has(self, ranges: Ranges | None = None, end: End | None = None) -> bool:
        """True if one of the deeds has these ranges or this end."""
        return any(ranges == deed.ranges or end == deed.end for deed in self.deeds)


PROFILES: dict[str, dict[str, Any]] = {
    "eager": {"first": "64KiB"},
    "quarter": {"first": "1/4"},
    "whole": {},
    "lazy": {"first": "64KiB", "complete": "on-demand"},
    "climbing": {
        "complete": "on-demand",
        "stages": [{"id": first, "retrieveType": first} for first in ("1/16", "1/2", "rest")],
        "retrieveOptions": {"1/16": {"first": "1/16"}, "1/2": {"first": "1/2"}, "rest": {"rangeIndex": -1}},
    },
}
PLANNED = ("sequential", "climbing", "quarter", "htj2kReduced")
RANGES = ("0-65535", "65536-", "0-", "0-0", "0-4095", "10000-99999", "70000-70000", "-500", "-1", "9999999-")
SIZES = ("fsiz=200,200&", "fsiz=1,1&")
HARM: Many[Ranges] = ("ignored", "shifted", "short", "total", "star", "unsaid", "no numbers")
CODINGS: Many[Coding] = ("chunked", "gzip", "until closed")
STATUSES = (503, 404, 429, 500, 502, 406, 401)
KINDS: Many[Kind] = ("look", "look", "release", "end", "replace", "crowd", "crowd", "plan", "cancel")


def sequence_of(chance: Random) -> Sequence:
    """A random sequence."""

    def pick(share: float, usual: One, others: Many[One]) -> One:
        return chance.choice(others) if chance.random() > 1 - share else usual

    def is_so(share: float) -> bool:
        return pick(share, usual=False, others=(True,))

    guards: Many[Guard] = ("etag", "date", "weak", "none")
    forms: Many[Form] = ("jls", "jpeg", "octets")
    form = pick(0.5, "htj2k", forms)
    is_htj2k = form == "htj2k"
    guard = pick(0.6, guards[0], guards) if is_htj2k else chance.choice(guards)
    envelopes: Many[Envelope] = ("single", "stable", "anew")
    trusts: Many[Policy] = (None, "strict", "length", "off")
    policy = pick(0.3, None, trusts)
    policies = policy, pick(0.1, policy, trusts)
    is_guarded = guard in ("etag", "date") and not {"length", "off"} & set(policies)
    has_twins = (is_guarded if is_htj2k else "off" not in policies) and is_so(0.5)
    harm = chance.choice((0.0, 0.4, 0.8))

    def deed() -> Deed:
        if not is_so(harm):
            return Deed(end=pick(0.3, "whole", ("slow",)), share=chance.random())
        is_bare = not (has_twins and is_htj2k) and is_so(0.1)
        ends: Many[End] = ("slow", "hung up") * 10 + ("silent",)
        end = pick(0.5, "whole", ends)
        is_cut = end in ("hung up", "silent")
        codings: Many[Coding] = ("chunked", "gzip") if is_cut and not is_htj2k else CODINGS
        return Deed(
            is_new=is_so(0.25),
            status=pick(0.15, 200, STATUSES),
            ranges=pick(0.3, "heeded", HARM),
            heeds_if_range=(is_bare and (is_htj2k or guard != "etag")) or not is_so(0.2),
            is_bare=is_bare,
            coding=pick(0.2, "plain", codings),
            end=end,
            share=chance.choice((0.0, 0.001, 0.01, 0.1, 0.5, 0.99)),
        )

    frames = chance.sample(range(len(FRAMES)), 2)

    def step() -> Ask | Act:
        frame = chance.choice(frames)
        if is_so(0.45):
            kind = chance.choice(KINDS)
            number = chance.choice((600, 900)) if kind == "crowd" else frame
            return Act(kind, number, chance.choice(PLANNED))
        return Ask(
            frame,
            pick(0.2, "", SIZES),
            pick(0.2, "image/jphc", ("*/*",)),
            pick(0.6, "", RANGES),
            pick(0.35, "", ("if-range", "if-none-match")),
            is_so(0.3),
            pick(0.05, "GET", ("HEAD",)),
            pick(0.6, "eager", tuple(PROFILES)),
            pick(0.15, None, (0, 1, 5000, 65536, 100_000)),
        )

    deeds = tuple(deed() for _ in range(chance.randrange(10)))
    steps = tuple(step() for _ in range(chance.randrange(1, 13)))
    envelope = pick(0.4, envelopes[0], envelopes)
    cache_control = pick(0.5, "", ("no-cache", "max-age=0", "max-age=0, must-revalidate"))
    return Sequence(guard, envelope, has_twins, form, policies, deeds, steps, cache_control)

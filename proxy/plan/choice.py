"""Chooses a frame's profile: the one the request names, else the first matching rule's, else the origin's.

Profiles and rules are one value, so a new configuration replaces the old one in one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from proxy.codestream.reach import Stop
from proxy.errors import UnknownName
from proxy.plan.kinds import FrozenModel
from proxy.plan.profile import Profile
from proxy.plan.stages import parts_of_frame


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """The facts about a series that rules test."""

    modality: str
    """Modality in the series metadata; empty if the metadata has none."""
    transfer_syntax: str
    """UID; empty if the metadata has none."""
    frames: int
    """Number of frames in the series."""


class Rule(FrozenModel):
    """Chooses a profile for the series that meet all of its conditions."""

    profile: str
    """Name of the profile."""
    origin: str | None = None
    """Name of the origin."""
    modality: str | None = None
    """Modality of the series, such as CT."""
    transfer_syntax: str | None = None
    """Transfer syntax UID of the series."""
    at_least: int | None = Field(None, ge=1)
    """Minimum number of frames in the series."""
    at_most: int | None = Field(None, ge=1)
    """Maximum number of frames in the series."""

    @property
    def needs_facts(self) -> bool:
        """True if the rule tests more than the origin's name."""
        return (self.modality, self.transfer_syntax, self.at_least, self.at_most) != (None,) * 4

    def fits(self, origin: str, facts: SeriesFacts | None) -> bool:
        """True if a series meets all conditions. A condition whose fact is unknown is not met.

        >>> Rule(profile="p", modality="CT", at_least=2).fits("pacs", SeriesFacts("CT", "", 174))
        True
        """
        if self.origin not in (None, origin):
            return False
        if facts is None:
            return not self.needs_facts
        return (
            self.modality in (None, facts.modality)
            and self.transfer_syntax in (None, facts.transfer_syntax)
            and (self.at_least or 0) <= facts.frames
            and (self.at_most is None or facts.frames <= self.at_most)
        )


@dataclass(frozen=True)
class ProfileChoice:
    """All profiles, and the rules that choose one."""

    profiles: Mapping[str, Profile]
    """Profiles by name."""
    rules: tuple[Rule, ...]
    """Rules in order; the first match decides."""
    by_origin: Mapping[str, str]
    """For each origin, the name of the profile to use if no rule matches."""
    firsts: Mapping[str, Stop | None] = field(init=False)
    """For each profile, the end of the first fetch; None is one plain request."""
    frames_paths: frozenset[str] = field(init=False)
    """Path segments of the alternates that profiles name."""

    def __post_init__(self) -> None:
        firsts = {name: parts_of_frame(profile)[0].stop for name, profile in self.profiles.items()}
        object.__setattr__(self, "firsts", firsts)
        by_syntax = (each for profile in self.profiles.values() for each in profile.retrieve_options.values())
        options = (each for syntaxes in by_syntax for each in syntaxes.values())
        paths = frozenset(each.frames_path for each in options if each.frames_path)
        object.__setattr__(self, "frames_paths", paths - {"/frames/"})

    @property
    def needs_facts(self) -> bool:
        """True if any rule tests facts about the series."""
        return any(rule.needs_facts for rule in self.rules)

    def profile(self, name: str) -> Profile:
        """Returns a profile by name. Raises `UnknownName`."""
        found = self.profiles.get(name)
        if found is None:
            raise UnknownName(f"there is no such profile, only {', '.join(sorted(self.profiles))}")
        return found

    def choose(self, asked: str | None, origin: str, facts: SeriesFacts | None) -> str:
        """Returns the name of the profile for a request. Raises `UnknownName`."""
        if asked is not None:
            self.profile(asked)
            return asked
        return next((r.profile for r in self.rules if r.fits(origin, facts)), self.by_origin[origin])


class CurrentChoice:
    """Holds the current choice of profiles."""

    def __init__(self, choice: ProfileChoice) -> None:
        self.now = choice
        """Always replaced as a whole."""

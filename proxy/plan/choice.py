"""Which profile fetches a frame: what the request names, else the first rule that fits, else the origin's.

All of it is one value, so a changed configuration takes its place in one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from proxy.codestream.reach import Stop
from proxy.errors import UnknownName
from proxy.plan.profile import FrozenModel, Profile
from proxy.plan.stages import parts_of_frame


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What rules ask of a series."""

    modality: str
    """As in its metadata; empty where it is not said."""
    transfer_syntax: str
    """UID; empty where it is not said."""
    frames: int
    """How many there are."""


class Rule(FrozenModel):
    """Chooses a profile for the series that fit all of its conditions."""

    profile: str
    """Name of the profile."""
    origin: str | None = None
    """Name of the origin."""
    modality: str | None = None
    """Modality of the series, such as CT."""
    transfer_syntax: str | None = None
    """Transfer syntax UID of the series."""
    at_least: int | None = Field(None, ge=1)
    """Frames of the series at least."""
    at_most: int | None = Field(None, ge=1)
    """Frames of the series at most."""

    @property
    def needs_facts(self) -> bool:
        """Whether it asks more than the origin's name."""
        return (self.modality, self.transfer_syntax, self.at_least, self.at_most) != (None,) * 4

    def fits(self, origin: str, facts: SeriesFacts | None) -> bool:
        """Whether a series fits; where a condition can't be told, it does not.

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
    """Every profile there is, and how one is chosen."""

    profiles: Mapping[str, Profile]
    """By name."""
    rules: tuple[Rule, ...]
    """In order; the first that fits decides."""
    by_origin: Mapping[str, str]
    """Name of the profile where no rule fits."""
    firsts: Mapping[str, Stop | None] = field(init=False)
    """How far the first fetch of each profile goes; None is one plain request."""
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
        """Whether some rule asks about series."""
        return any(rule.needs_facts for rule in self.rules)

    def profile(self, name: str) -> Profile:
        """A profile by its name. Raises `UnknownName`."""
        found = self.profiles.get(name)
        if found is None:
            raise UnknownName(f"no profile of that name; there are {', '.join(sorted(self.profiles))}")
        return found

    def choose(self, asked: str | None, origin: str, facts: SeriesFacts | None) -> str:
        """The name of the profile for a request. Raises `UnknownName`."""
        if asked is not None:
            self.profile(asked)
            return asked
        return next((r.profile for r in self.rules if r.fits(origin, facts)), self.by_origin[origin])


class CurrentChoice:
    """Holds the choice that is in force."""

    def __init__(self, choice: ProfileChoice) -> None:
        self.now = choice
        """Replaced as a whole."""

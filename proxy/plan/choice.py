"""Chooses a frame's profile: the one the request names, else the first matching rule's, else the origin's.

Profiles and rules are one value, so a new configuration replaces the old one in one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from pydantic import Field

from proxy.codestream.reach import Stop
from proxy.errors import UnknownName
from proxy.plan.kinds import FrozenModel, OneOrMore, RowsAndColumns
from proxy.plan.profile import Profile
from proxy.plan.stages import parts_of_frame

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """The facts about a series that rules test. A text is empty if the metadata has none."""

    modality: str
    """Modality in the series metadata."""
    transfer_syntax: str
    """Transfer syntax UID."""
    frames: int
    """Number of frames in the series."""
    description: str = ""
    """SeriesDescription."""
    body_part: str = ""
    """BodyPartExamined."""
    size: tuple[int, int] | None = None
    """Rows and columns of the first instance; None if the metadata has none."""


class Rule(FrozenModel):
    """Chooses a profile for the series that meet all of its conditions."""

    profile: str
    """Name of the profile."""
    origin: OneOrMore | None = None
    """Name of the origin, or a list."""
    modality: OneOrMore | None = None
    """Modality of the series, such as CT, or a list. Here and below, `*` is any text, and case is ignored."""
    transfer_syntax: OneOrMore | None = None
    """Transfer syntax UID of the series, or a list."""
    description: OneOrMore | None = None
    """SeriesDescription, such as `*scout*`, or a list."""
    body_part: OneOrMore | None = None
    """BodyPartExamined, such as BREAST, or a list."""
    header: Mapping[str, OneOrMore] | None = None
    """Headers of the viewer's request by name, such as `{X-Viewer: tablet*}`; each may be a list."""
    at_least: int | None = Field(None, ge=1)
    """Minimum number of frames in the series."""
    at_most: int | None = Field(None, ge=1)
    """Maximum number of frames in the series."""
    size_at_least: RowsAndColumns | None = None
    """Minimum rows and columns of the first instance, such as 2048x2048."""
    size_at_most: RowsAndColumns | None = None
    """Maximum rows and columns of the first instance."""

    @property
    def needs_facts(self) -> bool:
        """True if the rule tests the series."""
        return any(getattr(self, name) is not None for name in _OF_SERIES)

    def fits(self, origin: str, facts: SeriesFacts | None, headers: Mapping[str, str] = NO_HEADERS) -> bool:
        """True if a series meets all conditions. A condition whose fact is unknown is not met.

        `headers` are those of the request, with names in lower case.

        >>> Rule(profile="p", modality="CT", at_least=2).fits("pacs", SeriesFacts("CT", "", 174))
        True
        """
        if self.origin is not None and origin not in self.origin:
            return False
        for name, wanted in (self.header or {}).items():
            if not _is_like(headers.get(name.lower()), wanted):
                return False
        if not self.needs_facts:
            return True
        return facts is not None and self._fits_series(facts)

    def _fits_series(self, facts: SeriesFacts) -> bool:
        rows, columns = facts.size or (0, 0)
        least, most = self.size_at_least, self.size_at_most
        return (
            all(_is_like(getattr(facts, name), getattr(self, name)) for name in _TEXTS)
            and (self.at_least or 0) <= facts.frames
            and (self.at_most is None or facts.frames <= self.at_most)
            and (least is None or (rows >= least[0] and columns >= least[1]))
            and (most is None or (facts.size is not None and rows <= most[0] and columns <= most[1]))
        )


_TEXTS = ("modality", "transfer_syntax", "description", "body_part")
_OF_SERIES = (*_TEXTS, "at_least", "at_most", "size_at_least", "size_at_most")


def _is_like(value: str | None, wanted: tuple[str, ...] | None) -> bool:
    """True if a value is one of the wanted ones, or if any will do."""
    if wanted is None:
        return True
    return bool(value) and any(fnmatchcase((value or "").lower(), each.lower()) for each in wanted)


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

    def choose(
        self,
        asked: str | None,
        origin: str,
        facts: SeriesFacts | None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> str:
        """Returns the name of the profile for a request. Raises `UnknownName`."""
        if asked is not None:
            self.profile(asked)
            return asked
        return next((r.profile for r in self.rules if r.fits(origin, facts, headers)), self.by_origin[origin])


class CurrentChoice:
    """Holds the current choice of profiles."""

    def __init__(self, choice: ProfileChoice) -> None:
        self.now = choice
        """Always replaced as a whole."""

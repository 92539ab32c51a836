"""A synthetic day of a site: studies arrive, people open them, and many leave before the end. Seeded.

To replay a large day quickly, one frame in `sample` of each study is replayed, and each cache gets one byte
in `sample`. A study with fewer frames keeps one, with fewer bytes. So studies, viewers and times stay as they
are, and a study takes the same part of a cache as in the whole day.
"""

import math
import random
from dataclasses import dataclass

FIRST = 65_536
"""Bytes of a first piece."""
WORK = 8 * 3600.0
"""Seconds in which studies arrive."""
OPENED = 4
"""How often a study is opened, on average."""
TOGETHER = 1 / 20
"""Share of the studies that a group opens within five seconds."""
LEAVES = 0.3
"""Share of the viewers that leave before the end."""
PACE = 0.02
"""Seconds from one frame that a viewer requests to the next."""
CONNECTIONS = 6
"""Connections of a browser. Without hashing, each leads to any replica."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of study."""

    share: float
    """Share of the studies."""
    frames: int
    size: int
    """Bytes of a frame."""


KINDS = (Kind(0.7, 2, 11_100_000), Kind(0.2, 300, 134_000), Kind(0.1, 400, 134_000))
"""Radiographs, CT and MR. `docs/results/demo.json` has the sizes; the other numbers are assumptions."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as it is replayed."""

    number: int
    frames: int
    size: int
    """Bytes of a frame."""
    first: int
    """Bytes of its first piece."""
    weight: float
    """Number of frames of the whole day that each frame stands for."""


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """A viewer requests a frame."""

    at: float
    """Seconds from the start of the day."""
    viewer: int
    study: int
    frame: int
    connection: float
    """Where the connection leads, from 0 to 1, if nothing hashes."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is there, and what is requested, in order of time."""

    sample: int
    studies: tuple[Study, ...]
    requests: tuple[Request, ...]

    @property
    def frames(self) -> int:
        """Number of frames in the whole day."""
        return round(sum(study.frames * study.weight for study in self.studies))

    @property
    def overhead(self) -> float:
        """What a replayed frame costs beside its bytes, over what a frame costs; so all cost the same."""
        return self.frames / (self.sample * sum(study.frames for study in self.studies))

    @property
    def distinct(self) -> int:
        """Bytes of all frames that somebody requests, in the whole day."""
        asked = {(request.study, request.frame) for request in self.requests}
        return self.sample * sum(self.studies[study].size for study, _ in asked)


def day_of(viewers: int, seed: int, sample: int = 1) -> Day:
    """The day of a site with so many viewers, and as many studies."""
    chosen = random.Random(seed)
    kinds = chosen.choices(KINDS, [kind.share for kind in KINDS], k=viewers)
    studies = tuple(_study(number, kind, sample) for number, kind in enumerate(kinds))
    requests = (
        request
        for study in studies
        for at in _openings(chosen)
        for request in _seen(study, at, chosen.randrange(viewers), chosen)
    )
    return Day(sample, studies, tuple(sorted(requests)))


def _study(number: int, kind: Kind, sample: int) -> Study:
    frames = math.ceil(kind.frames / sample)
    part = kind.frames / (sample * frames)
    return Study(number, frames, int(kind.size * part), int(FIRST * part), kind.frames / frames)


def _openings(chosen: random.Random) -> list[float]:
    """At least one; the later ones within hours, unless a group opens the study together."""
    arrives = chosen.uniform(0, WORK) + chosen.expovariate(1 / 1200)
    times = [arrives]
    is_together = chosen.random() < TOGETHER
    while chosen.random() > 1 / OPENED:
        hours = chosen.choice((1, 4))
        later = chosen.uniform(0, 5) if is_together else chosen.expovariate(1 / (3600 * hours))
        times.append(arrives + later)
    return times


def _seen(study: Study, at: float, viewer: int, chosen: random.Random) -> list[Request]:
    share = chosen.random() if chosen.random() < LEAVES else 1.0
    connections = [chosen.random() for _ in range(CONNECTIONS)]
    return [
        Request(at + PACE * study.weight * frame, viewer, study.number, frame, chosen.choice(connections))
        for frame in range(int(share * study.frames + chosen.random()))
    ]

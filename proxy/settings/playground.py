"""The plan of a pasted retrieve configuration, for the playground: fetches, warnings, and the YAML for it.

It is read as `plan` and `check` read a file, and never run. This takes up to a second of a processor for the
largest texts, so it is for a thread.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import ConfigurationError
from proxy.plan.advice import Planned, advice
from proxy.plan.plan import Fetch, ordered
from proxy.plan.profile import Profile
from proxy.plan.stages import images_of
from proxy.plan.written import written
from proxy.settings.profiles import profile_of_text

MOST_STAGES = 64
"""Stages of a configuration."""
MOST_FETCHES = 20_000
"""Fetches of a plan."""
MOST_FAULTS = 20
"""Faults to name at once."""
MOST_PARTS = 3
"""Different parts of a stage to name."""

_NAME = "text"


def shown(text: str, images: int) -> dict[str, Any]:
    """Returns the plan of `images` images by a configuration, or its faults, as JSON values.

    >>> [fetch[2:] for fetch in shown("retrieveOptions: {single: {rangeIndex: 0}}", 1)["fetches"]]
    [[0, 65536]]
    >>> shown("{stages: []}", 1)["faults"]
    [{'line': 1, 'words': 'stages: a profile needs at least one stage'}]
    """
    try:
        profile = profile_of_text(text, _NAME)
        if len(profile.stages) > MOST_STAGES:
            raise ConfigurationError(f"stages: at most {MOST_STAGES} can be shown")
        fetches = list(islice(ordered(profile, images), MOST_FETCHES + 1))
        if len(fetches) > MOST_FETCHES:
            raise ConfigurationError(f"the plan has more than {MOST_FETCHES} fetches: choose fewer images")
    except ConfigurationError as error:
        return {"faults": [_fault(each) for each in str(error).splitlines()[:MOST_FAULTS]]}
    names = {stage.id: number for number, stage in reversed(list(enumerate(profile.stages)))}
    return {
        "faults": [],
        "images": images,
        "stages": _stages(profile, images, fetches),
        "fetches": [
            [names[fetch.stage], fetch.image, _plain(fetch.part.start), _plain(fetch.part.stop)]
            for fetch in fetches
        ],
        "warnings": advice(profile, images, fetches),
        "yaml": written(profile),
    }


def _fault(words: str) -> dict[str, Any]:
    """The line of a fault (1-based), which is 1 if it has none, and its words."""
    head, colon, rest = words.removeprefix(f"{_NAME}:").partition(":")
    if colon and head.isascii() and head.isdigit():
        return {"line": int(head), "words": rest.strip()}
    return {"line": 1, "words": words.removeprefix(f"{_NAME}:").strip()}


def _stages(profile: Profile, images: int, fetches: Sequence[Fetch]) -> list[dict[str, Any]]:
    planned = Planned(profile, images, fetches)
    parts: dict[str, dict[str, None]] = {stage.id: {} for stage in profile.stages}
    for fetch in fetches:
        parts[fetch.stage][str(fetch.part)] = None
    return [
        {
            "id": stage.id,
            "retrieveType": stage.retrieve_type,
            "requestType": stage.request_type,
            "priority": stage.priority,
            "barrier": stage.barrier,
            "images": len(images_of(stage, images)),
            "parts": list(parts[stage.id])[:MOST_PARTS],
            "path": planned.options(stage.retrieve_type).frames_path,
            "isFull": planned.options(stage.retrieve_type).is_full,
        }
        for stage in profile.stages
    ]


def _plain(mark: Stop | None) -> str | int | None:
    return str(mark) if isinstance(mark, ResolutionTarget) else mark

"""Stages applied to images: which images a stage selects, and which span it fetches of each.

The rules are those of Cornerstone3D's code: positions win over decimation, a negative position counts
from the end, one below 1 is a fraction of the last index, any other is an index, so 1 is the second image.
"""

from math import floor

from proxy.errors import ConfigurationError
from proxy.plan.profile import Profile, RetrieveOptions, Stage
from proxy.wire.ranges import Span


def images_of(stage: Stage, count: int) -> tuple[int, ...]:
    """The images (0-based) that a stage selects from a series of `count`, in its order.

    Raises `ConfigurationError` for a position where there is no image.

    >>> images_of(Stage(id="thirds", positions=(0.5, 0, -1)), 7)
    (3, 0, 6)
    >>> images_of(Stage(id="odd", decimate=2, offset=1), 7)
    (1, 3, 5)
    """
    if stage.positions is None:
        return tuple(range(stage.offset or 0, count, stage.decimate or 1))
    return tuple(_image_at(position, stage, count) for position in stage.positions)


def _image_at(position: float, stage: Stage, count: int) -> int:
    if position < 0:
        image = count + position
    elif position < 1:
        image = floor((count - 1) * position)
    else:
        image = position
    if image != floor(image) or not 0 <= image < count:
        raise ConfigurationError(f"stage {stage.id}: no image at position {position:g} of {count}")
    return int(image)


def options_of(profile: Profile, stage: Stage) -> RetrieveOptions | None:
    """The options of a stage; None is the whole image by one plain request."""
    options = profile.retrieve_options
    return options.get(stage.retrieve_type) or options.get("default")


def spans_of_frame(profile: Profile) -> tuple[Span, ...]:
    """The spans by which one frame is fetched, contiguous from 0, the last one to the end.

    >>> from proxy.plan.profile import stock_profile
    >>> spans_of_frame(stock_profile("sequential"))
    (Span(start=0, stop=65536), Span(start=65536, stop=None))
    """
    spans: list[Span] = []
    have = 0
    for stage in profile.stages:
        if 0 not in images_of(stage, 1):
            continue
        stop = _stop(profile, stage, is_first=not spans)
        if stop is None or stop > have:
            spans.append(Span(have, stop))
        if stop is None:
            return tuple(spans)
        have = max(have, stop)
    return (*spans, Span(have, None))


def _stop(profile: Profile, stage: Stage, *, is_first: bool) -> int | None:
    if is_first and profile.first is not None:
        return profile.first
    options = options_of(profile, stage)
    if options is None or options.range_index is None or options.range_index == -1:
        return None
    return options.chunk_size * (options.range_index + 1)

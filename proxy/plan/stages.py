"""Applies stages to images: which images a stage selects, and which part of each it fetches.

The rules are those of Cornerstone3D's code. Positions take precedence over decimation. A negative position
counts from the end, a position below 1 is a fraction of the last index, and any other is an index, so 1 is
the second image. A fetch starts where the image's last one stopped, so skipped ranges merge into one span.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor

from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import ConfigurationError
from proxy.plan.profile import Profile, RetrieveOptions, Stage
from proxy.plan.values import KIB
from proxy.wire.ranges import Span

CHUNK = 64 * KIB
"""Bytes of each range if the options give no sizes."""
LATER_CHUNK = 128 * KIB
"""Bytes of each range after the first if the options give only the size of the first."""

WHOLE = RetrieveOptions()
"""One plain request; the default if a profile has no options."""


def images_of(stage: Stage, count: int) -> Sequence[int]:
    """Returns the images (0-based) that a stage selects from a series of `count`, in stage order.

    Raises `ConfigurationError` if a position selects no image.

    >>> images_of(Stage(id="thirds", positions=(0.5, 0, -1)), 7)
    (3, 0, 6)
    >>> images_of(Stage(id="odd", decimate=2, offset=1), 7)
    range(1, 7, 2)
    """
    if stage.positions is None:
        return range(stage.offset or 0, count, stage.decimate or 1)
    images = []
    for position in stage.positions:
        image = _image_at(position, count)
        if image is None:
            raise ConfigurationError(f"stage {stage.id}: no image at position {position:g} of {count}")
        images.append(image)
    return tuple(images)


def _image_at(position: float, count: int) -> int | None:
    if position < 0:
        image = count + int(position)
    elif position < 1:
        image = floor((count - 1) * position)
    else:
        image = int(position)
    return image if 0 <= image < count else None


def options_of(profile: Profile, stage: Stage, transfer_syntax: str | None = None) -> RetrieveOptions | None:
    """Returns the options of a stage; None is the whole image by one plain request."""
    return choose(profile.options_for(transfer_syntax), stage)


def choose(options: Mapping[str, RetrieveOptions], stage: Stage) -> RetrieveOptions | None:
    """Selects the options of a stage from options by `retrieveType`."""
    return options.get(stage.retrieve_type) or options.get("default")


@dataclass(frozen=True, slots=True)
class FetchPart:
    """The part of a frame to fetch; the ends may be known only to the codestream.

    >>> str(FetchPart(0, 65536)), str(FetchPart(ResolutionTarget(scale=16), None))
    ('bytes=0-65535', '1/16 to the end')
    """

    start: Stop
    """Start of the part."""
    stop: Stop | None
    """End of the part; None is the end of the frame."""

    def __str__(self) -> str:
        """Returns a Range (RFC 9110 14.2) if both ends are bytes, else words."""
        if isinstance(self.start, int) and (self.stop is None or isinstance(self.stop, int)):
            return Span(self.start, self.stop).to_header()
        return f"{self.start} to {'the end' if self.stop is None else self.stop}"


@dataclass(frozen=True, slots=True)
class Progress:
    """The results of an image's fetches that decide about the next one."""

    path: tuple[str, str] = ("/frames/", "")
    """Frames path and URL arguments. Another path is another representation, fetched from its byte 0."""
    have: Stop | None = 0
    """End of the bytes that are there, from 0; None is all of them."""
    sized_by: RetrieveOptions | None = None
    """Options of the first range. The viewer uses their sizes for all ranges of a URL."""

    def turn_to(self, options: RetrieveOptions) -> "Progress":
        """Returns the progress before a fetch with these options."""
        path = (options.frames_path or "/frames/", options.url_arguments or "")
        here = self if path == self.path else Progress(path)
        if options.range_index is not None and here.sized_by is None:
            return replace(here, sized_by=options)
        return here

    def add(self, part: FetchPart) -> "Progress":
        """Returns the progress after a part was fetched."""
        return replace(self, have=part.stop)

    def part(self, profile: Profile, options: RetrieveOptions) -> FetchPart | None:
        """Returns the part that a stage fetches now, after `turn_to`; None if there is nothing left to fetch.

        >>> Progress().part(Profile(), RetrieveOptions.model_validate({"rangeIndex": 1}))
        FetchPart(start=0, stop=131072)
        """
        if self.have is None:
            return None
        stop = self._stop(options)
        is_small = stop is None and not options.is_full  # a picture of its own, useful only whole
        is_first = self.have == 0 or options.range_index == 0
        if is_first and profile.first is not None and options.first is None and not is_small:
            stop = profile.first
        if stop is None:
            is_left_to_viewers = self.have != 0 and profile.complete == "on-demand"
            return None if is_left_to_viewers else FetchPart(self.have, None)
        return FetchPart(self.have, stop) if _is_beyond(stop, self.have) else None

    def _stop(self, options: RetrieveOptions) -> Stop | None:
        if options.first is not None or is_open_ended(options):
            return options.first
        sizes, index = self.sized_by or options, options.range_index or 0
        # Zero counts as no size, as in the viewer's code.
        if sizes.initial_chunk_size:
            return sizes.initial_chunk_size + index * (sizes.chunk_size or LATER_CHUNK)
        return (sizes.chunk_size or CHUNK) * (index + 1)


def is_open_ended(options: RetrieveOptions) -> bool:
    """True if a stage fetches the remainder."""
    return options.first is None and options.range_index in (None, -1)


def _is_beyond(stop: Stop, have: Stop) -> bool:
    """True if there is something to fetch, or if only the codestream can tell."""
    if isinstance(stop, int) and isinstance(have, int):
        return stop > have
    return not (isinstance(stop, ResolutionTarget) and isinstance(have, ResolutionTarget)) or stop.exceeds(
        have
    )


def parts_of_frame(profile: Profile, transfer_syntax: str | None = None) -> tuple[FetchPart, ...]:
    """Returns the parts of one frame, contiguous from 0; the last one extends to the end.

    The parts are those for a series of one image, as in a viewer that loads a single image. Stages that do
    not select this image are skipped. Fetches from other paths before are not parts of the frame.

    >>> from proxy.plan.profile import stock_profile
    >>> parts_of_frame(stock_profile("sequential"))
    (FetchPart(start=0, stop=65536), FetchPart(start=65536, stop=None))
    """
    parts: list[FetchPart] = []
    progress = Progress()
    by_type = profile.options_for(transfer_syntax)
    for stage in profile.stages:
        if not _selects_the_only(stage):
            continue
        options = choose(by_type, stage) or WHOLE
        turned = progress.turn_to(options)
        part = turned.part(profile, options)
        if part is None:
            continue
        if turned.path != progress.path:
            parts.clear()
        parts.append(part)
        progress = turned.add(part)
        if part.stop is None and options.is_full:
            break
    return tuple(parts) if progress.have is None else (*parts, FetchPart(progress.have, None))


def _selects_the_only(stage: Stage) -> bool:
    if stage.positions is None:
        return not stage.offset
    return any(_image_at(position, 1) == 0 for position in stage.positions)

"""Advice on a profile: what its author may not have meant, seen from the fetches that it comes to. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from proxy.plan.plan import Fetch
from proxy.plan.profile import Profile, RetrieveOptions, Stage
from proxy.plan.stages import WHOLE, images_of
from proxy.wire.meant import meant


@dataclass(frozen=True)
class Planned:
    """A profile and the fetches of a series by it."""

    profile: Profile
    """The profile."""
    count: int
    """Images of the series."""
    fetches: Sequence[Fetch]
    """All fetches in order."""

    @cached_property
    def by_type(self) -> Mapping[str, RetrieveOptions]:
        """The options by `retrieveType`."""
        return self.profile.options_for()

    def options(self, retrieve_type: str) -> RetrieveOptions:
        """The options of a stage or a fetch."""
        return self.by_type.get(retrieve_type) or self.by_type.get("default") or WHOLE


def advice(profile: Profile, count: int, fetches: Sequence[Fetch]) -> list[str]:
    """Returns a sentence for each thing that may be meant otherwise. `fetches` are all of `count` images.

    >>> from proxy.plan.plan import ordered
    >>> first_only = Profile.model_validate({"retrieveOptions": {"default": {"rangeIndex": 0}}})
    >>> advice(first_only, 5, list(ordered(first_only, 5)))
    ['5 of 5 images are incomplete when the plan ends: no stage fetches the rest']
    """
    planned = Planned(profile, count, fetches)
    return [words for rule in _RULES for words in rule(planned)]


def _missing_options(planned: Planned) -> Iterator[str]:
    """A name that is missing is a mistake if another one is left over."""
    by_type = planned.by_type
    if "default" in by_type or not list(_unused_options(planned)):
        return
    for stage in planned.profile.stages:
        name = stage.retrieve_type
        if name not in by_type and name != "default":
            more = meant(name, list(by_type), f"its keys are {', '.join(by_type)}")
            yield f"stage {stage.id}: it fetches whole images, as retrieveOptions has no {name}{more}"


def _unused_options(planned: Planned) -> Iterator[str]:
    asked = {stage.retrieve_type for stage in planned.profile.stages}
    used = {name if name in planned.by_type else "default" for name in asked}
    for name in planned.by_type:
        if name not in used:
            yield f"retrieveOptions.{name}: no stage uses it"


def _ignored_options(planned: Planned) -> Iterator[str]:
    for name, options in planned.by_type.items():
        ignored = {"msBetweenDecode": options.ms_between_decode, "minChunkSize": options.min_chunk_size}
        for key, value in ignored.items():
            if value is not None:
                yield f"retrieveOptions.{name}.{key}: only viewers use it; the proxy ignores it"


def _empty_stages(planned: Planned) -> Iterator[str]:
    for stage in planned.profile.stages:
        if not images_of(stage, planned.count):
            yield f"stage {stage.id}: it selects none of {planned.count} images"


def _second_for_last(planned: Planned) -> Iterator[str]:
    for stage in planned.profile.stages:
        if _means_fractions(stage):
            yield f"stage {stage.id}: position 1 is the second image; the last one is -1"


def _means_fractions(stage: Stage) -> bool:
    positions = stage.positions or ()
    return 1 in positions and any(0 < position < 1 for position in positions)


def _left_out(planned: Planned) -> Iterator[str]:
    left = planned.count - len({fetch.image for fetch in planned.fetches})
    if left:
        yield f"{left} of {planned.count} images are fetched by no stage"


def _not_complete(planned: Planned) -> Iterator[str]:
    if planned.profile.complete == "on-demand":
        return
    last = {fetch.image: fetch for fetch in planned.fetches}
    cut = [
        fetch
        for fetch in last.values()
        if fetch.part.stop is not None or not planned.options(fetch.retrieve_type).is_full
    ]
    if cut:
        yield (
            f"{len(cut)} of {planned.count} images are incomplete when the plan ends: "
            "no stage fetches the rest"
        )


def _whole_too_early(planned: Planned) -> Iterator[str]:
    """Whole images that go before the first bytes of others, which show nothing until then."""
    begun: dict[int, int] = {}
    for number, fetch in enumerate(planned.fetches):
        begun.setdefault(fetch.image, number)
    ranged = [number for number in begun.values() if planned.fetches[number].part.stop is not None]
    if not ranged:
        return
    stages = Counter[str]()
    for fetch in planned.fetches[: max(ranged)]:
        if (fetch.part.start, fetch.part.stop) == (0, None) and planned.options(fetch.retrieve_type).is_full:
            stages[fetch.stage] += 1
    for stage, images in stages.items():
        at = next(number for number, fetch in enumerate(planned.fetches) if fetch.stage == stage)
        others = sum(number > at for number in ranged)
        yield f"stage {stage}: it fetches whole images ({images}) before the first bytes of {others} others"


def _begun_again(planned: Planned) -> Iterator[str]:
    last: dict[int, Fetch] = {}
    stages = Counter[str]()
    for fetch in planned.fetches:
        before = last.get(fetch.image)
        if before is not None and before.part.stop is not None and _path(before) != _path(fetch):
            stages[fetch.stage] += 1
        last[fetch.image] = fetch
    for stage, images in stages.items():
        yield (
            f"stage {stage}: another framesPath or urlArguments than before, so {images} images begin again "
            "from byte 0"
        )


def _path(fetch: Fetch) -> tuple[str, str]:
    return fetch.frames_path or "/frames/", fetch.url_arguments or ""


def _sizes_without_effect(planned: Planned) -> Iterator[str]:
    """An image's first range decides about the sizes of all of its ranges."""
    sized: dict[tuple[int, tuple[str, str]], tuple[int | None, int | None]] = {}
    found = dict[str, None]()
    for fetch in planned.fetches:
        options = planned.options(fetch.retrieve_type)
        if options.range_index is None:
            continue
        sizes = options.initial_chunk_size, options.chunk_size
        decided = sized.setdefault((fetch.image, _path(fetch)), sizes)
        if options.range_index > 0 and sizes != decided and any(sizes):
            found[fetch.retrieve_type] = None
    for name in found:
        yield f"retrieveOptions.{name}: its chunk sizes have no effect, as an image's first range decides"


_RULES: tuple[Callable[[Planned], Iterator[str]], ...] = (
    _left_out,
    _not_complete,
    _whole_too_early,
    _missing_options,
    _unused_options,
    _empty_stages,
    _second_for_last,
    _begun_again,
    _sizes_without_effect,
    _ignored_options,
)

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.codestream.reach import ResolutionTarget
from proxy.errors import ConfigurationError, UnknownName
from proxy.plan.names import STOCK
from proxy.plan.profile import Profile, Stage, stock_profile
from proxy.plan.stages import FetchPart, images_of, options_of, parts_of_frame

FAST = settings(deadline=None, database=None)
KIB = 1024
COUNTS = (1, 2, 3, 7)

INTERLEAVED: dict[str, tuple[dict[str, Any], tuple[tuple[int, ...], ...]]] = {
    # Cornerstone3D's interleaved stages; the images of a series of 1, 2, 3 and 7.
    "initialImages": ({"positions": (0.5, 0, -1)}, ((0, 0, 0), (0, 0, 1), (1, 0, 2), (3, 0, 6))),
    "quarterThumb": ({"decimate": 4, "offset": 3}, ((), (), (), (3,))),
    "halfThumb": ({"decimate": 4, "offset": 1}, ((), (1,), (1,), (1, 5))),
    "quarterFull": ({"decimate": 4, "offset": 2}, ((), (), (2,), (2, 6))),
    "halfFull": ({"decimate": 4, "offset": 0}, ((0,), (0,), (0,), (0, 4))),
    "errorRetrieve": ({}, ((0,), (0, 1), (0, 1, 2), (0, 1, 2, 3, 4, 5, 6))),
}


def stage(**keys: Any) -> Stage:
    return Stage(id="here", **keys)


def profile(*options: dict[str, Any], **keys: Any) -> Profile:
    """A profile with one stage for each of the options."""
    names = [f"stage{number}" for number in range(len(options))]
    return Profile.model_validate(
        {
            "stages": [{"id": name, "retrieveType": name} for name in names],
            "retrieveOptions": dict(zip(names, options, strict=True)),
            **keys,
        }
    )


@pytest.mark.parametrize(("keys", "images"), INTERLEAVED.values(), ids=INTERLEAVED)
def test_the_interleaved_stages_select_what_cornerstone_selects(
    keys: dict[str, Any], images: tuple[tuple[int, ...], ...]
) -> None:
    assert tuple(tuple(images_of(stage(**keys), count)) for count in COUNTS) == images


@pytest.mark.parametrize(
    ("keys", "count", "images"),
    [
        ({"decimate": 2}, 7, (0, 2, 4, 6)),
        ({"offset": 5}, 7, (5, 6)),
        ({"offset": 7}, 7, ()),
        ({"decimate": 10}, 7, (0,)),
        ({"positions": (0,)}, 7, (0,)),
        ({"positions": (1,)}, 2, (1,)),  # an index, not the end
        ({"positions": (1.0,)}, 7, (1,)),
        ({"positions": (6,)}, 7, (6,)),
        ({"positions": (-7,)}, 7, (0,)),
        ({"positions": (-1, -2)}, 7, (6, 5)),
        ({"positions": (0.25, 0.5, 0.75, 0.99)}, 7, (1, 3, 4, 5)),
        ({"positions": (0.99,)}, 1, (0,)),
        ({"positions": (2, 2, 0)}, 3, (2, 2, 0)),
        ({"positions": ()}, 3, ()),
        ({"positions": (2,), "decimate": 2, "offset": 1}, 3, (2,)),  # positions take precedence
        ({}, 0, ()),
        ({"decimate": 4, "offset": 3}, 0, ()),
    ],
)
def test_positions_and_decimation_by_hand(keys: dict[str, Any], count: int, images: tuple[int, ...]) -> None:
    assert tuple(images_of(stage(**keys), count)) == images


@pytest.mark.parametrize(
    ("position", "count"),
    [(1, 1), (7, 7), (-8, 7), (-2, 1), (0.5, 0), (0, 0), (-1, 0), (1e30, 7), (-1e30, 7)],
)
def test_a_position_without_an_image_is_refused_by_the_name_of_its_stage(position: float, count: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"^stage here: no image at position .* of {count}$"):
        images_of(stage(positions=(0, position) if count else (position,)), count)


@FAST
@given(st.integers(1, 9), st.integers(1, 60))
def test_the_offsets_of_a_decimation_share_all_images_among_them(decimate: int, count: int) -> None:
    images = [images_of(stage(decimate=decimate, offset=offset), count) for offset in range(decimate)]
    assert sorted(image for selected in images for image in selected) == list(range(count))


@FAST
@given(st.integers(1, 500), st.floats(0, 1, exclude_max=True))
def test_a_fraction_is_an_image_of_any_series(count: int, position: float) -> None:
    [image] = images_of(stage(positions=(position,)), count)
    assert 0 <= image < count


def test_options_are_found_by_type_then_by_default() -> None:
    chosen = Profile.model_validate(
        {
            "stages": [
                {"id": "a", "retrieveType": "known"},
                {"id": "b", "retrieveType": "other"},
                {"id": "c"},
            ],
            "retrieveOptions": {"known": {"rangeIndex": 3}, "default": {"rangeIndex": 5}},
        }
    )
    found = [options_of(chosen, each) for each in chosen.stages]
    assert [options and options.range_index for options in found] == [3, 5, 5]
    assert options_of(Profile(), Profile().stages[0]) is None


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("sequential", (FetchPart(0, 65536), FetchPart(65536, None))),
        ("single", (FetchPart(0, None),)),
        ("streaming", (FetchPart(0, None),)),
        ("interleaved", (FetchPart(0, 65536), FetchPart(65536, None))),
        ("coarseInterleaved", (FetchPart(0, 65536), FetchPart(65536, None))),
        ("byteRange", (FetchPart(0, 65536), FetchPart(65536, None))),
        ("jls", (FetchPart(0, None),)),
        ("jlsReduced", (FetchPart(0, None),)),
        ("htj2kReduced", (FetchPart(0, None),)),
    ],
)
def test_parts_of_the_stock_profiles(name: str, spans: tuple[FetchPart, ...]) -> None:
    assert parts_of_frame(stock_profile(name)) == spans


def test_every_stock_profile_can_be_read_and_no_other() -> None:
    assert {name: stock_profile(name).complete for name in STOCK} == dict.fromkeys(STOCK, "always")
    for name in ("nosuch", "", "../stock/single", "Sequential"):
        with pytest.raises(UnknownName, match="sequential, single, streaming, interleaved"):
            stock_profile(name)


FIRST, LAST = {"rangeIndex": 0}, {"rangeIndex": -1}
WIDE_128, WIDE_256 = ResolutionTarget(covers=(128, 0)), ResolutionTarget(covers=(256, 0))
SPANS: dict[str, tuple[Profile, tuple[FetchPart, ...]]] = {
    "ranges one by one": (
        profile(FIRST, {"rangeIndex": 1}, LAST),
        (FetchPart(0, 65536), FetchPart(65536, 131072), FetchPart(131072, None)),
    ),
    "skipped indexes merge": (
        profile(FIRST, {"rangeIndex": 2}, LAST),
        (FetchPart(0, 65536), FetchPart(65536, 196608), FetchPart(196608, None)),
    ),
    "a later index first": (
        profile({"rangeIndex": 3}, LAST),
        (FetchPart(0, 262144), FetchPart(262144, None)),
    ),
    "an index twice": (profile(FIRST, FIRST, LAST), (FetchPart(0, 65536), FetchPart(65536, None))),
    "an index that is held": (
        profile({"rangeIndex": 2}, FIRST, LAST),
        (FetchPart(0, 196608), FetchPart(196608, None)),
    ),
    "no last range": (profile(FIRST), (FetchPart(0, 65536), FetchPart(65536, None))),
    "the remaining range alone": (profile(LAST), (FetchPart(0, None),)),
    "the remaining range before another": (
        profile(FIRST, LAST, {"rangeIndex": 9}),
        (FetchPart(0, 65536), FetchPart(65536, None)),
    ),
    "chunks of another size": (
        profile({"rangeIndex": 0, "chunkSize": 32000}, LAST),
        (FetchPart(0, 32000), FetchPart(32000, None)),
    ),
    "a chunk of one byte": (
        profile({"rangeIndex": 0, "chunkSize": 1}),
        (FetchPart(0, 1), FetchPart(1, None)),
    ),
    "the newer dialect": (
        profile({"rangeIndex": 0, "initialChunkSize": 32768}, {"rangeIndex": 2}, LAST),
        (FetchPart(0, 32768), FetchPart(32768, 294912), FetchPart(294912, None)),
    ),
    "the newer dialect with both sizes": (
        profile({"rangeIndex": 0, "initialChunkSize": 16384, "chunkSize": 262144}, {"rangeIndex": 5}, LAST),
        (FetchPart(0, 16384), FetchPart(16384, 1327104), FetchPart(1327104, None)),
    ),
    "sizes on a later range are too late": (
        profile(FIRST, {"rangeIndex": 5, "chunkSize": 262144}, {"rangeIndex": 6, "initialChunkSize": 9}),
        (FetchPart(0, 65536), FetchPart(65536, 393216), FetchPart(393216, 458752), FetchPart(458752, None)),
    ),
    "no size is the viewer's size": (
        profile({"rangeIndex": 0, "chunkSize": 0, "initialChunkSize": 0}, LAST),
        (FetchPart(0, 65536), FetchPart(65536, None)),
    ),
    "a range index goes before streaming": (
        profile({"rangeIndex": 0, "streaming": True}, {"streaming": True}),
        (FetchPart(0, 65536), FetchPart(65536, None)),
    ),
    "another path first": (
        profile({"rangeIndex": 0, "framesPath": "/lossy/"}, {"streaming": True}),
        (FetchPart(0, None),),
    ),
    "other arguments first": (
        profile({"rangeIndex": 0, "urlArguments": "accept=image/jphc"}, FIRST, LAST),
        (FetchPart(0, 65536), FetchPart(65536, None)),
    ),
    "a small picture first": (
        profile(
            {"framesPath": "/jlsThumbnail/", "imageQualityStatus": 6}, {"framesPath": "/jls/"}, first="64KiB"
        ),
        (FetchPart(0, 65536), FetchPart(65536, None)),
    ),
    "a small picture alone": (profile({"imageQualityStatus": "LOSSY"}), (FetchPart(0, None),)),
    "first instead of the first range": (
        profile(FIRST, {"rangeIndex": 3}, first="128KiB"),
        (FetchPart(0, 131072), FetchPart(131072, 262144), FetchPart(262144, None)),
    ),
    "first beyond the next range": (
        profile(FIRST, {"rangeIndex": 1}, LAST, first="1MiB"),
        (FetchPart(0, 1048576), FetchPart(1048576, None)),
    ),
    "first smaller than the first range": (
        profile(FIRST, LAST, first="4KiB"),
        (FetchPart(0, 4096), FetchPart(4096, None)),
    ),
    "first of one plain request": (profile({}, first="64KiB"), (FetchPart(0, 65536), FetchPart(65536, None))),
    "stages that climb": (
        profile({"first": "1/16"}, {"first": "1/4"}, LAST),
        (
            FetchPart(0, ResolutionTarget(16)),
            FetchPart(ResolutionTarget(16), ResolutionTarget(4)),
            FetchPart(ResolutionTarget(4), None),
        ),
    ),
    "a stage that does not climb": (
        profile({"first": "1/4"}, {"first": "1/16"}, LAST),
        (FetchPart(0, ResolutionTarget(4)), FetchPart(ResolutionTarget(4), None)),
    ),
    "a width, and a wider one": (
        profile({"first": "≥ 128"}, {"first": ">=256"}, LAST),
        (FetchPart(0, WIDE_128), FetchPart(WIDE_128, WIDE_256), FetchPart(WIDE_256, None)),
    ),
    "bytes, and what only the codestream tells": (
        profile({"first": "64KiB"}, {"first": "1/4"}, {"first": "1MiB"}, LAST),
        (
            FetchPart(0, 65536),
            FetchPart(65536, ResolutionTarget(4)),
            FetchPart(ResolutionTarget(4), 1048576),
            FetchPart(1048576, None),
        ),
    ),
    "a viewer's decode level for all": (
        profile(FIRST, LAST, first={"decodeLevel": 4}),
        (FetchPart(0, ResolutionTarget(16)), FetchPart(ResolutionTarget(16), None)),
    ),
    "an option's own first before the profile's": (
        profile({"first": "1/4"}, LAST, first="1/16"),
        (FetchPart(0, ResolutionTarget(4)), FetchPart(ResolutionTarget(4), None)),
    ),
    "first and then the whole": (profile(LAST, first=4096), (FetchPart(0, 4096), FetchPart(4096, None))),
}


@pytest.mark.parametrize(("chosen", "spans"), SPANS.values(), ids=SPANS)
def test_parts_of_ranges(chosen: Profile, spans: tuple[FetchPart, ...]) -> None:
    assert parts_of_frame(chosen) == spans


def test_stages_that_select_other_images_of_a_series_are_passed_over() -> None:
    chosen = Profile.model_validate(
        {
            "stages": [
                {"id": "others", "decimate": 4, "offset": 3, "retrieveType": "large"},
                {"id": "mine", "retrieveType": "fast"},
            ],
            "retrieveOptions": {"large": {"rangeIndex": 9}, "fast": {"rangeIndex": 0}},
        }
    )
    assert parts_of_frame(chosen) == (FetchPart(0, 65536), FetchPart(65536, None))


def test_a_position_that_a_single_image_lacks_does_not_keep_a_frame_from_being_fetched() -> None:
    chosen = Profile.model_validate(
        {"stages": [{"id": "second", "positions": [1]}, {"id": "all"}], "retrieveOptions": {}}
    )
    assert parts_of_frame(chosen) == (FetchPart(0, None),)


@FAST
@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"rangeIndex": st.integers(-1, 6), "chunkSize": st.integers(1, 100_000)}
        ),
        min_size=1,
        max_size=6,
    ),
    st.none() | st.integers(KIB, 300_000),
)
def test_parts_follow_one_another_from_the_first_byte_to_the_end(
    options: list[dict[str, Any]], first: int | None
) -> None:
    spans = parts_of_frame(profile(*options, first=first))
    assert spans[0].start == 0
    assert spans[-1].stop is None
    assert all(one.stop == other.start for one, other in pairwise(spans))
    bytes_of = [(part.start, part.stop) for part in spans if isinstance(part.stop, int)]
    assert all(isinstance(start, int) and start < stop for start, stop in bytes_of)
    if first is not None:
        assert spans[0].stop == first

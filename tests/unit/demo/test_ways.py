"""The ways of the page are those of `measure`: same requests, same order."""

import pytest

from proxy.demo.ways import WAYS, PageWay, fetches_of
from proxy.measure.series import Kind
from proxy.measure.viewer import WAYS as MEASURED
from proxy.measure.viewer import Way
from proxy.plan.plan import ordered


@pytest.mark.parametrize("way", ["whole", "streaming", "range", "interleaved"])
def test_a_way_has_the_fetches_of_its_plan(way: str) -> None:
    told = [(each.image, each.range or "bytes=0-") for each in fetches_of(way, 20)]
    assert told == [(fetch.image, str(fetch.part)) for fetch in ordered(Way(way).profile(), 20)]
    assert {each.segment for each in fetches_of(way, 20)} == {"/frames/"}


def test_reduced_pictures_of_all_frames_come_before_any_whole_frame() -> None:
    told = [(each.segment, each.image) for each in fetches_of("jls-reduced", 2)]
    assert told == [("/jlsThumbnail/", 0), ("/jlsThumbnail/", 1), ("/jls/", 0), ("/jls/", 1)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("images", [1, 7])
def test_every_way_ends_with_all_of_every_frame_or_of_the_first_if_it_opens_a_study(
    way: PageWay, images: int
) -> None:
    last = {each.image: each for each in fetches_of(way.name, images)}
    assert set(last) == set(range(1 if way.opens else images))
    assert all(each.range is None or each.range.endswith("-") for each in last.values())


def test_a_way_is_for_the_kinds_that_measure_has_it_for() -> None:
    for way in WAYS:
        if way.name in set(Way):
            assert {Kind(kind) for kind in way.kinds} == {kind for kind in Kind if way.name in MEASURED[kind]}

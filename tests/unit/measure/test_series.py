from typing import Any

import pytest

from proxy.errors import OriginMismatch
from proxy.measure.series import Kind, MeasuredFrame, Series, choose, read_series
from proxy.wire.dicomjson import in_order

Instance = dict[str, Any]


def instance(uid: str, **tags: Any) -> Instance:  # an origin may write anything
    named = {"number": "00200013", "position": "00200032", "orientation": "00200037", "frames": "00280008"}
    named |= {"rows": "00280010", "columns": "00280011", "title": "0008103E", "modality": "00080060"}
    values = {"rows": 8, "columns": 8} | tags
    found: Instance = {"00080018": {"vr": "UI", "Value": [uid]}}
    for name, value in values.items():
        found[named[name]] = {"vr": "??", "Value": value if isinstance(value, list) else [value]}
    return found


def uids(instances: list[Instance]) -> list[str]:
    return [each["00080018"]["Value"][0] for each in instances]


AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]


def test_slices_are_ordered_along_their_normal_and_not_by_number() -> None:
    places = {"1.3": 5.0, "1.1": -2.5, "1.2": 0.0}
    slices = [
        instance(uid, number=number, position=[9 - z, 0, z], orientation=AXIAL)
        for number, (uid, z) in enumerate(places.items(), 1)
    ]
    assert uids(in_order(slices)) == ["1.1", "1.2", "1.3"]


def test_the_normal_is_that_of_the_slices() -> None:
    # rows x columns = (0, 1, 0) x (0, 0, -1) = (-1, 0, 0)
    slices = [instance(f"1.{x}", position=[x, 7 * x, -x], orientation=SAGITTAL) for x in (1, 3, 2)]
    assert uids(in_order(slices)) == ["1.3", "1.2", "1.1"]


@pytest.mark.parametrize("position", [[], [1.0, 2.0], ["a", "b", "c"], [None, None, None]])
def test_one_slice_without_a_place_and_all_go_by_number(position: list[Any]) -> None:
    first = instance("1.1", number="10", position=position, orientation=AXIAL)
    other = instance("1.2", number=9, position=[0, 0, 99], orientation=AXIAL)
    assert uids(in_order([first, other])) == ["1.2", "1.1"]


def test_several_frames_of_an_instance_come_in_their_order() -> None:
    series = read_series("1.5", "1.6", [instance("1.7", number=2), instance("1.8", number=1, frames="2")])
    assert series is not None
    assert [frame.path for frame in series.frames] == [
        "studies/1.5/series/1.6/instances/1.8/frames/1",
        "studies/1.5/series/1.6/instances/1.8/frames/2",
        "studies/1.5/series/1.6/instances/1.7/frames/1",
    ]


def test_what_has_no_pixels_is_no_picture() -> None:
    assert read_series("1.5", "1.6", [instance("1.7", rows=0), {"00080018": {"vr": "UI"}}]) is None


def test_the_title_is_the_description_or_else_the_modality() -> None:
    titled = read_series("1", "2", [instance("3", title=" Phantom\n(synthetic) ", modality="MG")])
    assert titled is not None
    assert titled.title == "Phantom (synthetic)"
    untitled = read_series("1", "2", [instance("3", modality="MG")])
    assert untitled is not None
    assert untitled.title == "MG"


def test_a_uid_that_is_none_is_refused() -> None:
    with pytest.raises(OriginMismatch, match="the origin's metadata"):
        read_series("1.5", "1.6", [instance("../../1")])


def test_the_stack_has_the_most_pixels_and_the_volume_the_most_frames() -> None:
    small = Series("Head (synthetic)", tuple(MeasuredFrame(f"h{n}", 64, 64) for n in range(3)))
    large = Series("Breast", (MeasuredFrame("b1", 100, 90), MeasuredFrame("b2", 200, 100)))
    stack, volume = choose([small, large])
    assert (stack.title, stack.kind, stack.paths, stack.columns, stack.rows) == (
        "Breast",
        Kind.STACK,
        ("b2",),
        200,
        100,
    )
    assert (volume.image, volume.paths) == ("Head (synthetic), 64x64x3", ("h0", "h1", "h2"))
    assert volume.is_synthetic
    assert not stack.is_synthetic


def test_a_single_frame_is_no_volume() -> None:
    assert len(choose([Series("one", (MeasuredFrame("f", 1, 1),))])) == 1

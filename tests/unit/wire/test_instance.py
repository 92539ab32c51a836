"""The attributes that are kept of long instances are all that are read."""

import re
from pathlib import Path
from typing import Any

import pytest

from proxy.wire import display, pixels
from proxy.wire.dicomjson import FRAMES, INSTANCE, MODALITY
from proxy.wire.instance import IN_SEQUENCES, InstanceReader, without_others


def test_every_attribute_that_the_readers_name_is_kept() -> None:
    for module in (display, pixels):
        named = set(re.findall(r'"([0-9A-F]{8})"', Path(str(module.__file__)).read_text("utf-8")))
        assert named
        assert named <= IN_SEQUENCES


def test_an_item_loses_only_attributes_that_nobody_reads() -> None:
    assert without_others({"00281050": {"vr": "DS"}, "00100010": {"vr": "PN"}}) == {"00281050": {"vr": "DS"}}
    assert [without_others(each) for each in (1, "x", None, [2])] == [1, "x", None, None]
    window = {"00281050": {"vr": "DS", "Value": [40, 50]}}
    assert without_others({"00289132": {"vr": "SQ", "Value": [window, window]}, "00281051": 5}) == {
        "00289132": {"vr": "SQ", "Value": [window]},
        "00281051": None,
    }


@pytest.mark.parametrize("odd", [5, None, "x", [], [5], {}, {"Value": 5}, {"Value": [[1]]}, {"Value": [{}]}])
@pytest.mark.parametrize("tag", sorted(IN_SEQUENCES | {FRAMES, MODALITY, "00083002", "00200032", "00200037"}))
def test_no_attribute_is_odd_enough_to_raise(tag: str, odd: Any) -> None:
    coloured = {"00281101": {"Value": [256, 0, 8]}, "00280010": {"Value": [8]}, "00280100": {"Value": [8]}}
    instance = {INSTANCE: {"Value": ["1.2"]}, "00280011": {"Value": [8]}, **coloured, tag: odd}
    read = InstanceReader().read(instance)
    assert read is not None
    assert read.uid == "1.2"
    assert len(repr(read)) < 1000


def test_a_palette_that_has_far_more_than_a_palette_has_is_none() -> None:
    inline = {
        tag: {"vr": "OW", "InlineBinary": "A" * 1_000_000} for tag in ("00281201", "00281202", "00281203")
    }
    read = InstanceReader().read({INSTANCE: {"Value": ["1.2"]}, "00281101": {"Value": [0, 0, 16]}, **inline})
    assert read is not None
    assert read.displays[0].palette is None

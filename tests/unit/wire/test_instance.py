"""The attributes that are kept of long instances are all that are read."""

import re
from pathlib import Path

from proxy.wire import display, pixels
from proxy.wire.instance import IN_SEQUENCES, without_others


def test_every_attribute_that_the_readers_name_is_kept() -> None:
    for module in (display, pixels):
        named = set(re.findall(r'"([0-9A-F]{8})"', Path(str(module.__file__)).read_text("utf-8")))
        assert named
        assert named <= IN_SEQUENCES


def test_an_item_loses_only_attributes_that_nobody_reads() -> None:
    assert without_others({"00281050": {"vr": "DS"}, "00100010": {"vr": "PN"}}) == {"00281050": {"vr": "DS"}}
    assert [without_others(each) for each in (1, "x", None, [2])] == [1, "x", None, [2]]

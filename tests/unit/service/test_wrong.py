"""Each kind of trouble with an origin has a sentence, which says how often it came and when it came last."""

import re
from pathlib import Path

import pytest

from proxy.admin.status import Fault
from proxy.origin.forms import OriginReport
from proxy.origin.health import TROUBLES
from proxy.service.wrong import NO_RANGES, OTHER, WORDS, wrong_with
from proxy.telemetry.outage import Outage
from proxy.telemetry.troubles import Trouble

SOURCES = Path(__file__).parents[3] / "proxy"


def report(*, ranges: bool | None = True, resting: bool = False) -> OriginReport:
    return OriginReport(form=None, ranges=ranges, validators=True, stable_multipart=False, resting=resting)


def wrong(troubles: dict[str, Trouble], *, ranges: bool | None = True, unreached: str = "") -> list[Fault]:
    return wrong_with(report(ranges=ranges), Outage("pacs"), unreached, troubles, {})


def test_a_trouble_says_how_often_and_when_the_latest_first() -> None:
    found = wrong({"stalled": Trouble(2, 10.0), "cut": Trouble(1, 30.0), "length": Trouble(7, 20.0)})
    assert [(fault.what, fault.times, fault.last, fault.level) for fault in found] == [
        (WORDS["cut"], 1, 30.0, "warn"),
        (WORDS["length"], 7, 20.0, "warn"),
        (WORDS["stalled"], 2, 10.0, "warn"),
    ]


def test_an_origin_without_ranges_is_told_once() -> None:
    told = Fault(level="warn", what=NO_RANGES, times=4, last=10.0)
    assert wrong({"range": Trouble(4, 10.0)}, ranges=False) == [told]
    assert wrong({}, ranges=False) == [Fault(level="warn", what=NO_RANGES)]
    assert [fault.what for fault in wrong({"range": Trouble(1, 10.0)})] == [WORDS["range"]]


def test_an_origin_that_is_down_is_not_also_one_that_could_not_be_reached() -> None:
    found = wrong({"unreachable": Trouble(9, 10.0), "late": Trouble(1, 5.0)}, unreached="no connection")
    assert [fault.level for fault in found] == ["bad", "warn"]
    assert found[1].what == WORDS["late"]
    assert [fault.what for fault in wrong({"unreachable": Trouble(9, 10.0)})] == [WORDS["unreachable"]]


def test_a_kind_without_a_sentence_of_its_own_has_one_too() -> None:
    assert [fault.what for fault in wrong({"new": Trouble(1, 1.0)})] == [OTHER]


@pytest.mark.parametrize("room", ["origin", "fetch", "wire"])
def test_each_reason_to_reject_a_response_has_a_sentence(room: str) -> None:
    text = "".join(path.read_text("utf-8") for path in (SOURCES / room).rglob("*.py"))
    raised = re.findall(r"Origin(?:Mismatch|Changed)\(\s*f?\"[^\"]*\",\s*\"(\w+)\"", text)
    assert raised
    assert set(raised) | {kind for _, kind in TROUBLES} <= {*WORDS, "uid"}

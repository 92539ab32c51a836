"""The line about a forwarded request: its kind without a UID, and no more lines than are allowed."""

import logging
from typing import Any

import pytest

from proxy.errors import OriginTimeout
from proxy.telemetry.metrics import Metrics
from proxy.viewers.forwarded_log import ForwardedLog, kind_of

STUDY = "studies/1.2.3"
ONE = f"{STUDY}/series/1.3/instances/1.4"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "studies", "search"),
        ("GET", "studies/", "search"),
        ("GET", f"{STUDY}/series", "search"),
        ("GET", "instances", "search"),
        ("GET", f"{STUDY}/metadata", "metadata"),
        ("GET", f"{ONE}/metadata", "metadata"),
        ("GET", STUDY, "instances"),
        ("GET", ONE, "instances"),
        ("GET", f"{ONE}/frames/1", "frames"),
        ("GET", f"{ONE}/frames/1/rendered", "frames"),
        ("GET", f"{ONE}/rendered", "rendered"),
        ("GET", f"{ONE}/bulkdata/00281201", "bulkdata"),
        ("POST", "studies", "store"),
        ("PUT", ONE, "store"),
        ("DELETE", STUDY, "delete"),
        ("GET", "", "other"),
        ("POST", "workitems", "other"),
        ("GET", "../1.2.3", "other"),
    ],
)
def test_kinds(method: str, path: str, kind: str) -> None:
    assert kind_of(method, path) == kind


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.message == "forwarded"]


def test_no_more_lines_than_allowed_and_the_next_one_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    log = ForwardedLog(2, Metrics(), with_uids=False, clock=clock)
    for second in (50.0, 50.9, 51.0):
        clock.now = second
        for _ in range(3):
            with log.line("pacs", "GET", STUDY) as line:
                line.note({"type": "http.response.start", "status": 200})
                line.note({"type": "http.response.body", "body": b"12345"})
    assert [each.get("left_out") for each in lines(caplog)] == [None, None, 4, None]
    first = lines(caplog)[0]
    assert [first[name] for name in ("origin", "method", "kind", "status", "bytes", "ms")] == [
        "pacs", "GET", "instances", 200, 5, 0.0,
    ]  # fmt: skip
    assert all("1.2.3" not in str(each) for each in lines(caplog))


def test_a_failure_has_its_status_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = ForwardedLog(9, Metrics(), with_uids=True)
    with pytest.raises(OriginTimeout), log.line("pacs", "GET", STUDY):
        raise OriginTimeout("x")
    with pytest.raises(OriginTimeout), log.line("pacs", "GET", STUDY) as line:
        line.note({"type": "http.response.start", "status": 200})
        raise OriginTimeout("x")
    assert [(each["status"], each["why"]) for each in lines(caplog)] == [
        (504, "OriginTimeout"),
        (200, "OriginTimeout"),
    ]
    assert {each["resource"] for each in lines(caplog)} == {STUDY}


@pytest.mark.parametrize(("per_second", "level"), [(0, logging.INFO), (9, logging.WARNING)])
def test_lines_can_be_turned_off(per_second: int, level: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(level)
    with ForwardedLog(per_second, Metrics(), with_uids=False).line("pacs", "GET", STUDY) as line:
        line.note({"status": 200})
    assert lines(caplog) == []


def test_what_was_not_sent_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """The proxy makes a picture that the origin refused; the line about that picture follows."""
    caplog.set_level(logging.INFO)
    with ForwardedLog(9, Metrics(), with_uids=False).line("pacs", "GET", STUDY):
        pass
    assert lines(caplog) == []


def test_each_request_counts_by_kind_and_status_also_beyond_the_lines_allowed() -> None:
    clock, metrics = Clock(), Metrics()
    log = ForwardedLog(0, metrics, with_uids=False, clock=clock)
    for _ in range(3):
        with log.line("pacs", "GET", STUDY) as line:
            clock.now += 0.2
            line.note({"type": "http.response.start", "status": 200})
            clock.now += 60.0  # the viewer reads slowly
    with pytest.raises(OriginTimeout), log.line("pacs", "POST", "studies"):
        clock.now += 4.0
        raise OriginTimeout("x")

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"progressive_proxy_forwarded_{name}", labels)

    assert value("total", origin="pacs", kind="instances", status="200") == 3
    assert value("total", origin="pacs", kind="store", status="504") == 1
    assert value("seconds_sum", origin="pacs", kind="instances") == pytest.approx(0.6)
    assert value("seconds_sum", origin="pacs", kind="store") == pytest.approx(4.0)

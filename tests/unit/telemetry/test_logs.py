"""Log lines as text show each field on one line; an outage is said seldom."""

import logging

import pytest

from proxy.telemetry.logs import TextFormatter
from proxy.telemetry.outage import AGAIN, Outage


def written(message: str, **fields: object) -> str:
    record = logging.makeLogRecord({"name": "proxy.x", "levelname": "INFO", "msg": message, **fields})
    return TextFormatter().format(record).partition(" INFO ")[2]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"origin": "pacs", "status": 200, "first_ms": 1.5}, " origin=pacs status=200 first_ms=1.5"),
        ({"why": "can't be read"}, ' why="can\'t be read"'),
        ({"why": ""}, ' why=""'),
        ({"why": None, "ok": True}, " why=null ok=true"),
        ({"needs_restart": ["cache", "log"]}, ' needs_restart=["cache", "log"]'),
        ({"viewers": ("127.0.0.1", 80)}, ' viewers=["127.0.0.1", 80]'),
        ({"faults": "f.yaml:1: a\nf.yaml:2: b"}, ' faults="f.yaml:1: a\\nf.yaml:2: b"'),
        ({"why": "x\x1b[31m status=200"}, ' why="x\\u001b[31m status=200"'),
        ({"why": "a=b"}, ' why="a=b"'),
        ({"why": "Müller"}, " why=Müller"),
        ({"why": "a\u2028b"}, ' why="a\\u2028b"'),
        ({"why": object}, " why=\"<class 'object'>\""),
    ],
)
def test_a_line_shows_each_field(fields: dict[str, object], text: str) -> None:
    assert written("frame", **fields) == f"proxy.x: frame{text}"


def test_a_traceback_stands_below_the_fields() -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        told = (type(error), error, error.__traceback__)
    first, *below = written("a fault", exc_info=told, origin="pacs").splitlines()
    assert first == "proxy.x: a fault origin=pacs"
    assert below[-1] == "ValueError: x"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_said_once_then_each_minute_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    outage = Outage("pacs", clock)
    outage.back()
    for second in range(150):
        clock.now = 1000.0 + second
        for _ in range(100):
            outage.down("timeout")
    outage.back()
    outage.back()
    outage.down("again")
    said = [(record.message, getattr(record, "seconds", None)) for record in caplog.records]
    assert said == [
        ("origin is down", None),
        ("origin is still down", AGAIN),
        ("origin is still down", 2 * AGAIN),
        ("origin is back", 149),
        ("origin is down", None),
    ]
    assert all(vars(record)["origin"] == "pacs" for record in caplog.records)

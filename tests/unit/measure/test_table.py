import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.measure.network import parse_network
from proxy.measure.row import Cache, Link, Row, Sample
from proxy.measure.series import Kind, Subject
from proxy.measure.table import WIDTH, header, heading, line, notes, print_table, titles, to_json
from proxy.measure.viewer import Way

SUBJECT = Subject("Breast (synthetic)", Kind.STACK, 3036, 3036, ("one",))
ROW = Row(
    subject=SUBJECT,
    way=Way.RANGE,
    is_plan=False,
    cache=Cache.COLD,
    link=Link.ORIGIN,
    network=parse_network("4g"),
    first_bytes=65536,
    size=11_100_000,
    first_resolution="190x190 (1/16)",
    first_ms=29.1234,
    seen_ms=None,
    final_ms=2985.5,
    first_limit_ms=27.476,
    seen_limit_ms=None,
    final_limit_ms=2970.0,
    samples=(Sample(29.1234, 2985.5),),
)
HUGE = replace(
    ROW,
    way=Way.STREAMING,
    first_bytes=9_998_900_000,
    first_ms=999_999.4,
    first_limit_ms=999_999.4,
    final_ms=9_999_999,
    final_limit_ms=0.01,
)
LONG = replace(ROW, way=Way.COARSE_INTERLEAVED, first_bytes=999_499_999, final_ms=999_999.4, first_ms=0.2)
TINY = replace(
    ROW, cache=Cache.NONE, first_bytes=1, first_ms=0.01, first_limit_ms=None, final_ms=0, final_limit_ms=None
)


@pytest.mark.parametrize("row", [ROW, HUGE, LONG, TINY])
def test_a_row_is_aligned_and_fits(row: Row) -> None:
    assert len(line(row)) == len(titles()) <= WIDTH
    assert line(row)[: line(row).index(" ")] == row.way


def test_a_row_says_what_was_measured() -> None:
    assert " ".join(line(ROW).split()) == "range proxy cold 64 KiB 29.1 27.5 1.06× 2,986 2,970 1.01×"
    assert " ".join(line(TINY).split()) == "range direct 1 B 0.0 – – 0.0 – –"


@pytest.mark.parametrize("title", ["", "Breast", "Breast " * 30, "Breast " * 30 + "(synthetic)"])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_heading_fits_and_says_synthetic(title: str, kind: Kind) -> None:
    subject = replace(SUBJECT, title=title, kind=kind, paths=("one",) * 174)
    told = heading(replace(ROW, subject=subject))
    assert len(told) <= WIDTH
    assert "3036x3036" in told
    assert ("synthetic" in told) == subject.is_synthetic


@pytest.mark.parametrize("network", ["4g", "local", "99999.99/99999.99/99999.99ms"])
@pytest.mark.parametrize("link", list(Link))
def test_the_header_fits(network: str, link: Link) -> None:
    told = header(parse_network(network), link).splitlines()
    assert max(map(len, told)) <= WIDTH
    assert told[0].startswith("Link" if network != "local" else "local: no link")


def test_a_resolution_is_told_once_and_a_volume_tells_of_every_slice() -> None:
    assert notes(ROW, []) == ["                  the first 64 KiB hold 190x190 (1/16)"]
    assert notes(ROW, [ROW]) == notes(replace(ROW, first_resolution="3036x3036 (1/1)"), []) == []
    volume = replace(ROW, seen_ms=1300.2, seen_limit_ms=650.1, first_resolution=None)
    assert notes(volume, []) == ["                  every slice seen: 1,300 (limit 650, 2.00×)"]
    assert notes(replace(volume, seen_limit_ms=None), [])[0].endswith(": 1,300")


@pytest.mark.anyio
async def test_each_image_has_one_heading(capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(ROW, subject=replace(SUBJECT, title="Head"))

    async def rows() -> AsyncIterator[Row]:
        for row in (ROW, ROW, other):
            yield row

    assert await print_table(ROW.network, Link.ORIGIN, rows()) == [ROW, ROW, other]
    printed = capsys.readouterr().out
    assert printed.count("Breast (synthetic), stack") == printed.count("Head, stack") == 1
    assert printed.count("proxy cold") == 3


def test_a_volume_tells_in_json_too_when_every_slice_was_seen() -> None:
    (row,) = json.loads(to_json([replace(ROW, seen_ms=1300.23456, seen_limit_ms=650.1)]))["rows"]
    assert (row["seen_ms"], row["seen_limit_ms"]) == (1300.235, 650.1)


def test_what_the_proxy_loads_by_itself_is_told_as_a_plan() -> None:
    planned = replace(ROW, way="interleaved 1/4", is_plan=True)
    assert line(planned).startswith("interleaved 1/4   plan cold ")
    assert len(line(planned)) == len(titles())
    (row,) = json.loads(to_json([planned]))["rows"]
    assert (row["via"], row["cache"]) == ("plan", "cold")


def test_json_has_these_keys_and_no_other() -> None:
    (row,) = json.loads(to_json([replace(ROW, final_limit_ms=None)]))["rows"]
    assert row == {
        "image": "Breast (synthetic), 3036x3036",
        "way": "range",
        "via": "proxy",
        "cache": "cold",
        "link": "origin",
        "network": "4g",
        "first_bytes": 65536,
        "bytes": 11_100_000,
        "first_resolution": "190x190 (1/16)",
        "first_ms": 29.123,
        "final_ms": 2985.5,
        "first_limit_ms": 27.476,
        "final_limit_ms": None,
        "seen_ms": None,
        "seen_limit_ms": None,
        "samples": [{"first_ms": 29.123, "final_ms": 2985.5}],
    }

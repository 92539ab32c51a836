from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RangeNotSatisfiable
from proxy.wire.ranges import (
    MAX_DIGITS,
    ContentRange,
    RangeRequest,
    Span,
    parse_content_range,
    parse_range,
)

FAST = settings(deadline=None, database=None)
MEGABYTE = 1024 * 1024

POSITIONS = (None, *range(7))
SMALL = [(f, n, t) for f, n, t in product(POSITIONS, POSITIONS, range(7)) if (f, n) != (None, None)]


def oracle(first: int | None, last: int | None, total: int) -> list[int]:
    """The positions that a range selects, by slicing a plain list (RFC 9110 14.1.2)."""
    body = list(range(total))
    if first is None:
        return body[-last:] if last else []
    return body[first:] if last is None else body[first : last + 1]


def written(first: int | None, last: int | None) -> str:
    return f"bytes={'' if first is None else first}-{'' if last is None else last}"


def parsed(value: str) -> RangeRequest:
    request = parse_range(value)
    assert request is not None
    return request


@pytest.mark.parametrize("total", range(7))
def test_every_small_range_is_what_slicing_gives(total: int) -> None:
    for first, last, _ in (case for case in SMALL if case[2] == total):
        request = parsed(written(first, last))
        want = oracle(first, last, total)
        if not want:
            with pytest.raises(RangeNotSatisfiable) as refused:
                request.resolve(total)
            assert refused.value.total == total
        else:
            assert request.resolve(total) == Span(want[0], want[-1] + 1), (first, last)


def test_what_is_wanted_is_never_less_than_what_is_given() -> None:
    for first, last, total in SMALL:
        request = parsed(written(first, last))
        try:
            given = request.resolve(total)
        except RangeNotSatisfiable:
            continue
        assert request.stop_wanted is None or request.stop_wanted >= (given.stop or 0)


def test_a_backwards_range_is_a_fault_whatever_the_total() -> None:
    for last, first in combinations(range(7), 2):
        assert parsed(written(first, last)).fault == "the range ends before it starts"


def test_no_range_and_other_units_are_ignored() -> None:
    for value in (None, "items=0-5", "none=", "seconds=1-2,3-4", "x-bytes=0-1", "bytess=0-1"):
        assert parse_range(value) is None, value


NONSENSE = [
    "",
    " ",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=--1",
    "bytes=a-b",
    "bytes=0",
    "bytes=0--1",
    "bytes=-1-2",
    "bytes=+0-1",
    "bytes=0x0-1",
    "bytes=1_0-20",
    "bytes=1.0-2",
    "bytes=1e3-",
    "bytes=\u0660-\u0661",
    "bytes=0-\u00b9",
    "bytes=0\u20131",
    "bytes=0 - 1",
    "bytes=0-1 2",
    "bytes=0-1;x",
    "bytes=0-1/2",
    "bytes=0-1\0",
    "bytes=0-\n1",
    "bytes = 0-1",
    "bytes:0-1",
    "bytes 0-1",
    "0-1",
    "=0-1",
    "NaN",
    "bytes=NaN-",
]


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_is_a_fault_and_never_the_whole(value: str) -> None:
    request = parsed(value)
    assert request.fault
    assert request.stop_wanted == 0
    with pytest.raises(RangeNotSatisfiable) as refused:
        request.resolve(100)
    assert refused.value.total == 100
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(
    "value", ["bytes=0-0,1-1", "bytes=0-1,", "bytes=,0-1", "bytes=0-1, 5-4", "bytes=-1,-2"]
)
def test_several_ranges_are_a_fault(value: str) -> None:
    assert parsed(value).fault == "a request may have only one range"


@pytest.mark.parametrize(
    "value", [" bytes=0-5", "bytes=0-5 ", "bytes= 0-5", "bytes=\t0-5\t", "Bytes=0-5", "BYTES=0-5"]
)
def test_white_space_around_a_range_and_capitals_change_nothing(value: str) -> None:
    assert parse_range(value) == RangeRequest(0, 5)


def test_a_suffix_of_nothing_is_not_satisfiable() -> None:
    for total in (0, 1, 100):
        with pytest.raises(RangeNotSatisfiable):
            parsed("bytes=-0").resolve(total)


def test_a_suffix_larger_than_the_whole_is_the_whole() -> None:
    for value in ("bytes=-100", "bytes=-101", "bytes=-" + "9" * MAX_DIGITS, "bytes=-" + "9" * 400):
        assert parsed(value).resolve(100) == Span(0, 100)
        assert parsed(value).stop_wanted is None


def test_an_end_beyond_every_end_is_the_end() -> None:
    for last in ("100", "9" * MAX_DIGITS, "9" * (MAX_DIGITS + 1), "9" * 5000):
        assert parsed(f"bytes=10-{last}").resolve(100) == Span(10, 100)


def test_a_start_beyond_every_end_is_not_satisfiable() -> None:
    for first in ("100", "9" * MAX_DIGITS, "9" * (MAX_DIGITS + 1), "9" * 5000):
        with pytest.raises(RangeNotSatisfiable):
            parsed(f"bytes={first}-").resolve(100)


@pytest.mark.parametrize(
    "value",
    [
        "bytes=" + "0-0," * (MEGABYTE // 4),
        "bytes=" + "9" * MEGABYTE + "-",
        "bytes=" + "-" * MEGABYTE,
        "bytes=" + " " * MEGABYTE + "x",
        "bytes=0-1" + " " * MEGABYTE + "x",
        "bytes=0-" + "9" * MEGABYTE + "x",
        "bytes" * (MEGABYTE // 5),
        "=" * MEGABYTE,
        " " * MEGABYTE,
    ],
    ids=[
        "ranges",
        "digits",
        "dashes",
        "space before",
        "space after",
        "digits and x",
        "units",
        "equals",
        "space",
    ],
)
def test_a_megabyte_of_header_is_a_short_fault(value: str) -> None:
    request = parsed(value)
    assert 0 < len(request.fault) < 100
    assert (request.first, request.last) == (None, None)


@FAST
@given(st.text("bytes=-,0123456789 \t", max_size=24) | st.text(max_size=24), st.integers(0, 30))
def test_any_text_is_ignored_refused_or_a_span_within_the_whole(value: str, total: int) -> None:
    request = parse_range(value)
    if request is None:
        return
    try:
        span = request.resolve(total)
    except RangeNotSatisfiable:
        return
    assert span.stop is not None
    assert 0 <= span.start < span.stop <= total


@FAST
@given(st.integers(0, 10**14), st.none() | st.integers(1, 10**14))
def test_a_span_is_read_back_from_its_header(start: int, size: int | None) -> None:
    span = Span(start, None if size is None else start + size)
    request = parsed(span.to_header())
    assert request.fault == ""
    assert request.stop_wanted == span.stop
    assert request.resolve(10**15) == Span(start, 10**15 if span.stop is None else span.stop)


@FAST
@given(st.integers(0, 10**14), st.integers(1, 10**14), st.none() | st.integers(0, 10**14))
def test_a_content_range_is_read_back_from_its_header(start: int, size: int, after: int | None) -> None:
    said = ContentRange(start, start + size, None if after is None else start + size + after)
    assert parse_content_range(said.to_header()) == said


def test_small_content_ranges_are_taken_if_they_agree_with_themselves() -> None:
    for first, last, total in product(range(5), range(5), range(5)):
        said = parse_content_range(f"bytes {first}-{last}/{total}")
        is_true = first <= last < total
        assert said == (ContentRange(first, last + 1, total) if is_true else None), (first, last, total)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes ",
        "0-0/1",
        "bytes=0-0/1",
        "bytes:0-0/1",
        "bytes0-0/1",
        "items 0-0/1",
        "bytes 0-0",
        "bytes 0-0/",
        "bytes 0-/1",
        "bytes -0/1",
        "bytes -1-0/1",
        "bytes */1",
        "bytes */*",
        "bytes 0-0/**",
        "bytes 5-4/9",
        "bytes 0-9/9",
        "bytes 0-0/0",
        "bytes 0-0/1_0",
        "bytes 0-1_0/20",
        "bytes 0-0/+1",
        "bytes 0-0/-1",
        "bytes 0-0/NaN",
        "bytes 0-NaN/5",
        "bytes NaN-0/5",
        "bytes 0-0/Infinity",
        "bytes 0-0/1e3",
        "bytes 0-0/0x10",
        "bytes 0-0/1.0",
        "bytes \u0660-\u0660/\u0661",
        "bytes 0-0/\u00b9",
        "bytes 0 -0/1",
        "bytes 0- 0/1",
        "bytes 0-0 /1",
        "bytes 0-0/ 1",
        "bytes 0-0/1 x",
        "bytes 0-0/1\0",
        "bytes 0-0/1, bytes 1-1/2",
        "bytes 0-0/1;x",
        "bytes 0-0/" + "9" * 16,
        "bytes 0-" + "9" * 16 + "/*",
    ],
)
def test_a_content_range_that_is_none_is_not_believed(value: str) -> None:
    assert parse_content_range(value) is None


@pytest.mark.parametrize("filler", ["0", " ", "-", "/", "*", "bytes "])
def test_a_megabyte_of_content_range_is_not_believed(filler: str) -> None:
    assert parse_content_range("bytes " + filler * (MEGABYTE // len(filler))) is None

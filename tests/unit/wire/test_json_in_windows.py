"""A text that is read window by window gives what the standard library gives for the whole text."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.dicomjson import read_json
from proxy.wire.json_in_windows import LONGEST, MOST, read_in_windows

FAULT = "not JSON"
WINDOWS = (1, 2, 3, 7, 20, 1000)


def same(value: Any) -> Any:
    return value


def whole(body: bytes) -> str:
    """The value as the standard library reads it, as text, since NaN equals nothing."""
    try:
        return repr(read_json(body))
    except ValueError:
        return FAULT


def in_windows(body: bytes, window: int, chunk: int) -> str:
    chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    try:
        return repr(read_in_windows(chunks, same, same, window))
    except ValueError:
        return FAULT


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5),
)


@given(
    VALUES, st.booleans(), st.sampled_from([None, 1]), st.sampled_from(WINDOWS), st.integers(1, 40), st.data()
)
def test_any_value_is_the_same(
    value: Any, is_ascii: bool, indent: int | None, window: int, chunk: int, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    body = text.encode("utf-8", "surrogatepass")
    assert in_windows(body, window, chunk) == whole(body)
    cut = body[: data.draw(st.integers(0, len(body)))]
    assert in_windows(cut, window, chunk) == whole(cut)


@pytest.mark.parametrize("chunk", range(1, 40))
@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_that_ends_between_a_value_and_its_comma(window: int, chunk: int) -> None:
    body = b'{\n "": [\n  {\n   "": [\n    null,\n    false\n   ]\n  },\n  {}  ,\n  -1000000000\n ]\n}'
    assert in_windows(body, window, chunk) == whole(body) != FAULT


@given(st.text('[]{}",:0123456789-+.eEtrufalsn \n\\\ufeffNIy', max_size=40), st.sampled_from(WINDOWS))
def test_any_text_is_the_same_fault_or_value(text: str, window: int) -> None:
    body = text.encode()
    assert in_windows(body, window, 5) == whole(body)


ODD = {
    "no number": b'[{"a": NaN, "b": [Infinity, -Infinity]}, NaN]',
    "the last of two equal names counts": b'[{"a": 1, "b": 2, "a": [3, 4, 5, 6]}, {}]',
    "byte order mark": b'\xef\xbb\xbf[{"a": 1}]',
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf[{"a": 1}]',
    "control characters": b'[{"a": "x\x01\ny"}]',
    "a byte that is not UTF-8": b'[{"a": "M\xfcller \xe2\x82"}, "\xe2\x82\xac"]',
    "escapes": rb'["\u20ac\ud83d\ude00\"\\\/", "\ud83d"]',
    "a wrong escape": rb'["\x41", 1]',
    "an error in the middle": b'[{"a": 1}, {"a": tru}, {"a": 2}]',
    "an error in a nested list": b'[{"a": {"Value": [1, 2, , 3]}}]',
    "nothing between two commas of a list": b"[1, 2, , 3, 4]",
    "nothing between two commas at its end": b"[1, 2, 3, , 4]",
    "a list that ends too early": b"[1, 2], 3, 4]",
    "an object that ends too early": b'{"a": 1, "b": 2}, "c": 3, "d": 4}',
    "the wrong bracket": b"[1, 2}, 3, 4]",
    "short values beside a long one": b'[1, 2, 3, {"a": [4, 5, "6, 7"]}, 8, "9, ]", 10, 11]',
    "many short members": b'{"a": 1, "b": {}, "c": "}, ", "a": 2, "d": [], "e": null, "b": 3}',
    "a comma at the end": b'[{"a": 1,}]',
    "a comma at the end of a list": b"[1, 2, ]",
    "a name that is no text": b"[{1: 2}]",
    "no colon": b'[{"a" 1}]',
    "text behind it": b"[1] 2",
    "nothing": b"",
    "spaces only": b" \r\n ",
    "an object": b'{"a": [1, 2, 3]}',
    "a long number": b"[" + b"1" * 60 + b"." + b"2" * 60 + b"e-17, 5]",
    "a long number behind which the text ends": b"1" * 60,
    "a leading zero": b"[01, 2]",
    "a dot without digits": b"[1., 2]",
    "nested too deep": b"[" * 100_000,
    "nested too deep, and whole": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
@pytest.mark.parametrize("window", WINDOWS)
def test_odd_texts_are_the_same(body: bytes, window: int) -> None:
    for chunk in (1, 6, 10_000):
        assert in_windows(body, window, chunk) == whole(body)


BOMBS = {
    "many short values": (b"[" + b"1," * 3_000_000 + b"1]", f"more than {MOST} values"),
    "many empty lists in an instance": (
        b'[{"52009230": {"Value": [' + b"{}," * 2_000_000 + b"{}]}}]",
        f"more than {MOST} values",
    ),
    "many lists, each long": (
        b"[{" + b",".join(b'"%d": [%s1]' % (at, b"[]," * 99_999) for at in range(20)) + b"}]",
        f"more than {MOST} values",
    ),
    "many names": (
        b"[{" + b",".join(b'"%06d":{}' % at for at in range(600_000)) + b"}]",
        f"more than {MOST} values",
    ),
    "a long string": (b'["' + b"x" * (3 * LONGEST) + b'"]', f"more than {LONGEST} characters"),
    "a number of millions of digits": (b"[" + b"1" * (3 * LONGEST) + b"]", f"more than {LONGEST} characters"),
    "deep": (b"[" * 6_000_000, "nested too deep"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_text_that_would_become_many_times_as_large_is_refused_early(bomb: str) -> None:
    body, why = BOMBS[bomb]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=why):
            read_in_windows([body], lambda item: None, same)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 130 * 1024 * 1024


def test_as_many_values_as_a_series_can_have_are_read() -> None:
    frames = b"{}," * 99_999 + b"{}"
    body = b",".join(b'{"52009230": {"Value": [%s]}}' % frames for _ in range(5))
    assert len(read_in_windows([b"[", body, b"]"], same, lambda item: None)) == 5


def test_items_are_converted_one_by_one_and_long_ones_from_inside() -> None:
    seen: list[Any] = []

    def of_item(item: Any) -> int:
        seen.append(item)
        return len(seen)

    def kept(item: Any) -> Any:
        return item["n"]

    body = json.dumps([{"a": "short"}, {"items": [{"n": number} for number in range(20)]}]).encode()
    assert read_in_windows([body], of_item, kept, 64) == [1, 2]
    assert seen == [{"a": "short"}, {"items": list(range(20))}]

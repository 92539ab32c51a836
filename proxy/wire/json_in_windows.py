"""Reads a large JSON text in a thread, without keeping other threads waiting. Pure.

`json.loads` of 100 MB holds the interpreter for seconds, even in a thread of its own. After that, the garbage
collector goes through all the objects. Here, the parser of the standard library gets one *window* of the text
at a time. If the next value ends in the window, that parser reads all of it. Otherwise the value is read
member by member, and each member in the same way:

    [{…}, {…}, {…}]                              a list that is longer than a window
    [{…, "52009230": {"Value": [{…}, {…}]}}]     an instance in it that is longer too

The result equals that of `json.loads(…, strict=False)`. To keep the number of objects small, `of_item`
converts each item of the outermost list before the next one is read. If such an item is longer than a window,
`kept` converts the items of lists in it first.

A text that is mostly brackets would become many times as large. So a list or an object has at most `MOST`
values, and so have all long ones in one item of the outermost list together. A string or number has at most
`LONGEST` characters.
"""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, TypeAlias

WINDOW = 64 * 1024
"""Characters that the standard library's parser gets at once."""
MOST = 400_000
"""Values of lists and objects that are longer than a window. A series has at most 100,000 frames."""
LONGEST = 16 * 1024 * 1024
"""Characters of a string or number. The parser holds the interpreter for some 20 ms to read them."""

Change: TypeAlias = Callable[[Any], Any]
"""Converts a value."""

SHORT = 64
"""Characters of a value after which the ones that follow it are read together."""

_SPACE = re.compile(r"[ \t\n\r]*")
_AFTER = frozenset(" \t\n\r,]}")
"""Characters that can follow a value."""
_CLOSING = frozenset('"]}')
_scan: Callable[[str, int], tuple[Any, int]]
_scan = json.JSONDecoder(strict=False).scan_once  # type: ignore[attr-defined]  # the stubs lack it


def read_in_windows(chunks: Iterable[bytes], of_item: Change, kept: Change, window: int = WINDOW) -> Any:  # noqa: ANN401  # any JSON
    """Parses JSON. Raises `ValueError` if it is not JSON. A byte that is not UTF-8 is read as U+FFFD.

    >>> read_in_windows([b'[1, ', b'2]'], str, str)
    ['1', '2']
    """
    text = _Text(chunks, window)
    try:
        is_list = text.next() == "["
        value = _list(text, kept, of_item, is_outermost=True) if is_list else _value(text, kept)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if text.next():
        raise ValueError("text behind the value")
    return value


class _Text:
    """A window that moves over the text."""

    def __init__(self, chunks: Iterable[bytes], least: int) -> None:
        self._parts = _decoded(chunks, least)
        self._least = least
        self.window = ""
        self.at = 0
        """The place in the window up to which the text is read."""
        self.is_last = False
        """True if the window ends with the text."""
        self.tried = ""
        """The window in which short values were tried together."""
        self.left = MOST
        """Values that long lists and objects may still have, anew in each item of the outermost list."""

    def count(self, size: int) -> None:
        """Notes that a long list or object has more values. Raises `ValueError` if these are too many."""
        self.left -= size
        if self.left < 0:
            raise ValueError(f"more than {MOST} values in one")

    def move(self, size: int = 0) -> None:
        """Moves the window to `at`. Unless the text ends, the window is at least `size` long then."""
        parts = [self.window[self.at :]]
        length, size = len(parts[0]), max(size, self._least)
        while length < size and not self.is_last:
            part = next(self._parts, None)
            self.is_last = part is None
            parts.append(part or "")
            length += len(parts[-1])
        self.window, self.at = "".join(parts), 0

    def next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            self.at = _SPACE.match(self.window, self.at).end()  # type: ignore[union-attr]  # it always matches
            if self.at < len(self.window):
                return self.window[self.at]
            if self.is_last:
                return ""
            self.move()

    def take(self, expected: str) -> str:
        """Reads the next character that is no space. Raises `ValueError` if it is none of these."""
        found = self.next()
        if not found or found not in expected:
            raise ValueError(f"one of {expected} is missing")
        self.at += 1
        return found


def _decoded(chunks: Iterable[bytes], size: int) -> Iterator[str]:
    decoder = getincrementaldecoder("utf-8-sig")("replace")
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield decoder.decode(chunk[at : at + size])
    yield decoder.decode(b"", final=True)


def _value(text: _Text, kept: Change) -> Any:  # noqa: ANN401  # any JSON
    begins = text.next()
    found = _in_window(text)
    if found is None:
        text.move()
        found = _in_window(text)
    if found is None and not text.is_last and begins in ("[", "{"):
        return _list(text, kept, kept) if begins == "[" else _object(text, kept)
    while found is None and not text.is_last:  # a long string
        if len(text.window) > LONGEST:
            raise ValueError(f"a value of more than {LONGEST} characters")
        text.move(2 * len(text.window))
        found = _in_window(text)
    if found is None:
        raise ValueError("a value is missing")
    return found[0]


def _in_window(text: _Text) -> tuple[Any] | None:
    """Reads the next value, as a tuple of one, if it certainly ends in the window."""
    try:
        found, end = _scan(text.window, text.at)
    except (ValueError, StopIteration):
        return None
    is_closed = isinstance(found, str | list | dict)
    if is_closed or text.is_last or (end < len(text.window) and text.window[end] in _AFTER):
        text.at = end
        return (found,)
    return None


def _list(text: _Text, kept: Change, of_item: Change, *, is_outermost: bool = False) -> list[Any]:
    found: list[Any] = []
    text.take("[")
    if text.next() == "]":
        text.at += 1
        return found
    while True:
        begin, window, before = text.at, text.window, len(found)
        found.append(of_item(_value(text, kept)))
        if text.window is window and text.at - begin < SHORT:
            found.extend(map(of_item, _together(text, "[]")))
        text.left = MOST - before if is_outermost else text.left
        text.count(len(found) - before)
        if text.take(",]") == "]":
            return found


def _object(text: _Text, kept: Change) -> dict[str, Any]:
    found: dict[str, Any] = {}
    text.take("{")
    if text.next() == "}":
        text.at += 1
        return found
    while True:
        begin, window, before = text.at, text.window, len(found)
        if text.next() != '"':
            raise ValueError("a name is missing")
        name = _value(text, kept)
        text.take(":")
        found[name] = _value(text, kept)
        if text.window is window and text.at - begin < SHORT:
            found.update(_together(text, "{}"))
        text.count(len(found) - before)
        if text.take(",}") == "}":
            return found


def _together(text: _Text, brackets: Literal["[]", "{}"]) -> Any:  # noqa: ANN401  # a list or a dict
    """Reads the values between here and the last comma of the window, if they are short and many.

    One by one, each would cost as much as a long one. Returns none of them if one does not end before that
    comma; that is tried once for each window.
    """
    ends = text.window[text.at - 1]  # as the values to come may do; a comma may be inside of a string
    if text.next() != "," or text.window is text.tried:  # the window may have moved
        return {} if brackets == "{}" else []
    last = text.window.rfind(f"{ends},") + 1 if ends in _CLOSING else text.window.rfind(",")
    if text.at < last:
        text.tried = text.window
        values = brackets[0] + text.window[text.at + 1 : last] + brackets[1]
        with suppress(ValueError, StopIteration):
            found, end = _scan(values, 0)
            if found and end == len(values):
                text.at = last
                return found
    return {} if brackets == "{}" else []

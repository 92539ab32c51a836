"""Reads the values of a JavaScript text: objects, lists, numbers, texts, arithmetic, names.

Imports tree-sitter. Nothing is run. A name stands for what the text itself declares, for a value of an
enumeration of Cornerstone3D, or for its stock stages.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tree_sitter import Node

from proxy.errors import NotUnderstood
from proxy.wire.meant import meant

MAX_VALUES = 100_000
"""Values that a text may come to, with all spreads."""

_ENUMERATIONS = re.compile(r"(?:\w+\.)*(?:ImageQualityStatus|RequestType)\.(\w+)")
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None, "undefined": None}
_SUMS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
_TRANSPARENT = ("parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression")
_FUNCTIONS = ("arrow_function", "function_expression", "method_definition", "generator_function")


class Lined(dict[str, Any]):
    """An object with the line (1-based) of each key."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class LinedList(list[Any]):
    """A list with the line (1-based) of each item."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def line_in(value: object, path: tuple[int | str, ...]) -> int:
    """Returns the line of the value at a path, or of its nearest parent (1-based)."""
    line = 1
    for step in path:
        if isinstance(value, Lined) and step in value:
            line = value.lines.get(str(step), line)
        elif isinstance(value, LinedList) and isinstance(step, int) and step < len(value):
            line = value.lines[step]
        elif not isinstance(value, list | dict):
            break
        try:
            value = value[step]  # type: ignore[index]  # a step fits its container, or ends the way
        except (LookupError, TypeError):
            break
    return line


class Values:
    """Reads the values of one text."""

    def __init__(self, told: bytes, stages: Mapping[str, Any]) -> None:
        self.stages = stages
        """The stock configurations of a viewer, by name."""
        self.declared: dict[str, Node] = {}
        """Declarations of the text, by name."""
        self._told = told
        self._open: list[str] = []
        self._count = 0

    def object_of(self, node: Node) -> dict[str, Any]:
        """The value of an expression that is an object. Raises `NotUnderstood`."""
        value = self._value(node)
        if not isinstance(value, dict):
            raise NotUnderstood(line_of(node), "must be an object, { … }")
        return value

    def _value(self, node: Node) -> Any:  # noqa: ANN401, C901  # a value of any kind; one branch a kind
        self._count += 1
        if self._count > MAX_VALUES:
            raise NotUnderstood(line_of(node), f"the text comes to more than {MAX_VALUES} values")
        node, text = bare(node), self.text(bare(node))
        if node.type == "object":
            return self._mapping(node)
        if node.type == "array":
            return self._list(node)
        if node.type in ("string", "template_string") and (written := _string(node, text)) is not None:
            return written
        if node.type == "number":
            return _number(node, text)
        if text in _WORDS:
            return _WORDS[text]
        if node.type == "unary_expression" and text[0] in "+-":
            number = self._figure(node.named_children[0])
            return -number if text[0] == "-" else number
        if node.type == "binary_expression":
            return self._sum(node)
        if node.type in ("identifier", "member_expression"):
            return self._named(node, text)
        if node.type in _FUNCTIONS:
            raise NotUnderstood(line_of(node), "a proxy can't run functions: write the value instead")
        raise NotUnderstood(line_of(node), f"{_shortened(text)} can't be computed here: write its value")

    def _mapping(self, node: Node) -> Lined:
        found = Lined()
        for each in node.named_children:
            if each.type == "spread_element":
                spread = self.object_of(each.named_children[0])
                found.update(spread)
                found.lines.update(dict.fromkeys(spread, line_of(each)))
                self._count += len(spread)
            elif each.type == "pair":
                key = self.key(each)
                value = each.child_by_field_name("value")
                found[key] = self._value(value) if value is not None else None
                found.lines[key] = line_of(each)
            elif each.type == "shorthand_property_identifier":
                found[self.text(each)] = self._named(each, self.text(each))
                found.lines[self.text(each)] = line_of(each)
            elif each.type != "comment":
                raise NotUnderstood(line_of(each), "a proxy can't run functions: write the value instead")
        return found

    def _list(self, node: Node) -> LinedList:
        found = LinedList()
        for each in node.named_children:
            if each.type == "comment":
                continue
            if each.type == "spread_element":
                spread = self._value(each.named_children[0])
                if not isinstance(spread, list):
                    has_stages = isinstance(spread, Mapping) and "stages" in spread
                    right = f", such as {self.text(each)}.stages" if has_stages else ""
                    raise NotUnderstood(line_of(each), f"{self.text(each)}: must spread a list here{right}")
                found.extend(spread)
                found.lines.extend([line_of(each)] * len(spread))
                self._count += len(spread)
            else:
                found.append(self._value(each))
                found.lines.append(line_of(each))
        return found

    def _sum(self, node: Node) -> float:
        left, operator, right = (node.child_by_field_name(name) for name in ("left", "operator", "right"))
        assert left is not None
        assert right is not None
        sign = self.text(operator) if operator is not None else ""
        if sign not in _SUMS:
            raise NotUnderstood(line_of(node), f"{_shortened(self.text(node))}: write the number instead")
        a, b = self._figure(left), self._figure(right)
        try:
            result = _SUMS[sign](a, b)
        except (ZeroDivisionError, OverflowError):
            raise NotUnderstood(line_of(node), f"{_shortened(self.text(node))} is no number") from None
        is_whole = isinstance(result, float) and result.is_integer()
        return int(result) if is_whole else float(result) if isinstance(result, float) else result

    def _figure(self, node: Node) -> Any:  # noqa: ANN401  # whole or not
        value = self._value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotUnderstood(line_of(node), f"{_shortened(self.text(node))} is no number")
        return value

    def _named(self, node: Node, text: str) -> Any:  # noqa: ANN401  # as above
        if enumerated := _ENUMERATIONS.fullmatch(text):
            return enumerated[1] if "ImageQualityStatus" in text else enumerated[1].lower()
        name = text.rpartition(".")[2]
        if name in self.stages:
            return self.stages[name]
        if text in self.declared:
            if text in self._open:
                raise NotUnderstood(line_of(node), f"{text} contains itself")
            self._open.append(text)
            value = self._value(self.declared[text])
            self._open.pop()
            return value
        if node.type == "member_expression" and (holder := node.child_by_field_name("object")) is not None:
            value = self._value(holder)
            if isinstance(value, dict) and name in value:
                return value[name]
        right = meant(name, self.stages, "write its value, or paste its declaration too")
        raise NotUnderstood(line_of(node), f"{_shortened(text)} is not known here{right}")

    def key(self, pair: Node) -> str:
        """The key of a pair. Raises `NotUnderstood` if it has to be computed."""
        key = pair.child_by_field_name("key")
        assert key is not None
        if key.type == "computed_property_name":
            raise NotUnderstood(line_of(key), f"{_shortened(self.text(key))}: write the key itself")
        return self.text(key).strip("'\"")

    def text(self, node: Node) -> str:
        """The text of an expression."""
        return self._told[node.start_byte : node.end_byte].decode()


def bare(node: Node) -> Node:
    """Returns an expression without parentheses and types."""
    while node.type in _TRANSPARENT:
        node = next(each for each in node.named_children if each.type != "comment")
    return node


def line_of(node: Node) -> int:
    """The line of an expression (1-based)."""
    return node.start_point[0] + 1


def _string(node: Node, text: str) -> str | None:
    """Returns the text between quotation marks; None if it has to be computed."""
    parts = [each.type for each in node.named_children]
    if "template_substitution" in parts or "escape_sequence" in parts:
        return None
    return text[1:-1]


def _number(node: Node, text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        return int(plain, 0) if re.fullmatch(r"0[xXoObB].*|0|[1-9][0-9]*", plain) else _whole(float(plain))
    except (ValueError, OverflowError):
        raise NotUnderstood(line_of(node), f"{_shortened(text)} is no number") from None


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"

"""Says in plain words what is wrong with a value. pydantic's own words name the types of the program."""

from typing import Any, Final

from pydantic_core import ErrorDetails

from proxy.wire.meant import meant

_LIST: Final = "must be a list: one item a line after `- `, or [a, b]"
_MAPPING: Final = "must be a mapping: one `key: value` a line, or {{key: value}}"
_TEXT: Final = "must be a text; put it in quotes if it looks like a number or a date"
_BOOLEAN: Final = "must be true or false"
_WHOLE: Final = "must be a whole number"
_NUMBER: Final = "must be a number"
_WORDS: Final = {
    "missing": "is missing",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "string_type": _TEXT,
    "path_type": "must be the path of a file or folder",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "is too large",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "too_short": "must list at least {min_length}",
    "too_long": "must list at most {max_length}",
}
"""Sentences that begin with the key, by pydantic's type of error."""


def wording(fault: ErrorDetails) -> str:
    """The rest of a sentence that begins with the key.

    >>> wording({"type": "greater_than_equal", "loc": (), "msg": "", "input": 0, "ctx": {"ge": 3}})
    'must be at least 3'
    """
    sentence = _WORDS.get(fault["type"])
    if sentence is None:
        return _named_once(fault)
    bounds: dict[str, Any] = {
        name: f"{value:g}" if isinstance(value, float) else value
        for name, value in fault.get("ctx", {}).items()
    }
    words = sentence.format(**bounds)
    if fault["type"] == "literal_error" and isinstance(fault.get("input"), str):
        words += meant(fault["input"], bounds["expected"].replace("' or '", "', '")[1:-1].split("', '"))
    return words


def _named_once(fault: ErrorDetails) -> str:
    """The words of a check of our own, which may begin with the key that stands before them."""
    words, last = fault["msg"].removeprefix("Value error, "), fault["loc"][-1:]
    return words.removeprefix(f"{last[0]}: ") if last else words

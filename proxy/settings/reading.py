"""Reads a YAML file into a frozen value. Each fault has its file, line, key, and what would be right.

Imports yaml. Reading is bounded for any file: by size, and by what aliases expand to.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from proxy.errors import ConfigurationError
from proxy.settings.wording import wording
from proxy.wire.meant import meant

Key = tuple[int | str, ...]
"""The way to a value."""
MAX_BYTES = 1024 * 1024
"""Bytes of a file; a larger file is refused unread."""
MAX_NODES = 100_000
"""Values of a document, with aliases expanded."""

_CODE = re.compile(r"(^|[,;{}\[\]]) *//", re.MULTILINE)
_COMMENT = "`//` begins no comment in YAML: write `#`, or paste JavaScript as a text, after `|`"

Value = TypeVar("Value", bound=BaseModel)


def read(path: Path, model: type[Value]) -> Value:
    """Reads a value from a file. Raises `ConfigurationError`, one line per fault."""
    return parse(text_of(path), str(path), model)


def text_of(path: Path) -> str:
    """Returns the text of a file. Raises `ConfigurationError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path}: the file is larger than {MAX_BYTES} bytes")
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: the file can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: the file can't be read: it is not UTF-8") from error


def keys_of(text: str, name: str) -> frozenset[str]:
    """Returns the keys of a text's mapping; none if it is no mapping. Raises `ConfigurationError`."""
    tree, _ = _read_yaml(text, name)
    return (
        frozenset(key.value for key, _ in tree.value) if isinstance(tree, yaml.MappingNode) else frozenset()
    )


def line_of(path: Path, key: Key) -> int:
    """The line of a value in a file, or of its nearest parent (1-based). Raises `ConfigurationError`."""
    tree, _ = _read_yaml(text_of(path), str(path))
    return _line(tree, key)


def lines_in(text: str, name: str) -> Callable[[Key], int]:
    """Tells the line of each value in a text, or of its nearest parent. Raises `ConfigurationError`."""
    tree, _ = _read_yaml(text, name)
    return partial(_line, tree)


def parse(text: str, name: str, model: type[Value]) -> Value:
    """Parses a value from a text; `name` stands for the file. Raises `ConfigurationError`."""
    tree, values = _read_yaml(text, name)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigurationError(f"{name}:1: the file must be a mapping of settings")
    # pydantic-settings uses such arguments itself. A file must not set them.
    if private := [key for key in values if key.startswith("_")]:
        keys = ", ".join(model.model_fields)
        lines = (f"{name}:{_line(tree, (key,))}: {key}: unknown key; the keys are {keys}" for key in private)
        raise ConfigurationError("\n".join(lines))
    try:
        return model(**values)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(faults_of(error, lambda path: _line(tree, path), name, model))
        ) from None
    except SettingsError as error:
        raise ConfigurationError(f"environment: {error}: a list or mapping must be JSON") from error


def _read_yaml(text: str, name: str) -> tuple[yaml.Node | None, Any]:
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        if tree is None:
            return None, {}
        if _weight(tree, {}) > MAX_NODES:
            raise ConfigurationError(f"{name}:1: the aliases expand to more than {MAX_NODES} values")
        doubles = dict.fromkeys(f"{name}:{line}: {what}" for line, what in _doubles(tree))
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        more = f"; {_COMMENT}" if _CODE.search(text) else ""
        raise ConfigurationError(f"{name}:{line}: not YAML: {error.problem}{more}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{name}:1: the file is nested too deeply") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        # The parser's constructors raise this for a tag that does not fit its value.
        raise ConfigurationError(f"{name}:1: not YAML: {error}") from error
    if doubles:
        raise ConfigurationError("\n".join(doubles))
    return tree, values


def _weight(node: yaml.Node, seen: dict[int, int]) -> int:
    """Counts the values that a node expands to. Raises `ValueError` if a node contains itself."""
    if id(node) in seen:
        if seen[id(node)] == 0:
            raise ValueError("a value contains itself")
        return seen[id(node)]
    seen[id(node)] = 0
    weight = 1
    if isinstance(node, yaml.SequenceNode):
        weight += sum(_weight(child, seen) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        weight += sum(_weight(key, seen) + _weight(child, seen) for key, child in node.value)
    seen[id(node)] = weight
    return weight


def _doubles(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yields keys that occur twice in one mapping. YAML forbids them, but the parser takes the last."""
    if isinstance(node, yaml.MappingNode):
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, child in node.value:
            if isinstance(key, yaml.ScalarNode) and keys[key.value] > 1:
                yield key.start_mark.line + 1, f"{key.value}: the key occurs more than once"
            yield from _doubles(child)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _doubles(child)


def faults_of(
    error: ValidationError, line: Callable[[Key], int], name: str, model: type[BaseModel]
) -> Iterator[str]:
    """Yields a line for each fault, with file, line and key."""
    faults = error.errors(include_url=False)
    paths = [fault["loc"] for fault in faults]
    for fault in faults:
        path, words = fault["loc"], wording(fault)
        if fault["type"] == "too_short" and any(other[: len(path)] == path != other for other in paths):
            continue  # reported only because the items were refused
        if fault["type"] == "extra_forbidden" and str(path[-1]).startswith("//"):
            words = _COMMENT
        elif fault["type"] == "extra_forbidden":
            keys = _keys(model.model_json_schema(), path[:-1])
            words = "unknown key" + meant(str(path[-1]), keys, f"the keys are {', '.join(keys)}")
        key = ".".join(map(str, path))
        # A fault of the whole value starts with the key.
        where = f"{name}:{line(path or (words.partition(':')[0],))}"
        variable = f"{model.model_config.get('env_prefix', '')}{'__'.join(map(str, path))}".upper()
        if variable in os.environ:
            where = f"environment variable {variable}"
        yield f"{where}: {key + ': ' if key else ''}{words}"


def _keys(schema: dict[str, Any], path: Key) -> list[str]:
    """Lists the keys of a mapping at this path."""
    here = schema
    for step in path:
        below = here.get("properties", {}).get(step) if isinstance(step, str) else here.get("items")
        here = below or here.get("additionalProperties") or {}
        for choice in here.get("anyOf", ()):
            here = choice if "$ref" in choice else here
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    return list(here.get("properties", {}))


def _line(node: yaml.Node | None, path: Key) -> int:
    """Returns the line (1-based) of the value at a path, or of its nearest parent in the document."""
    line = 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, child) for key, child in node.value if key.value == step]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line

"""The configuration in force: where each value comes from, and what another file would change.

A value comes from the environment, from a line of the file, or it is the default. A file that changes while
the proxy runs changes what `AT_ONCE` names. For all else, the values from the start stay in force.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from proxy.errors import ConfigurationError
from proxy.settings.model import Settings
from proxy.settings.reading import MAX_BYTES, Key, lines_in, parse, text_of

AT_ONCE = ("profiles", "profile", "choose")
"""Settings whose change is applied; changes of other settings are only logged."""
FIXED = ("listen", "admin", "workers.http")
"""Settings that also workers which are replaced one by one keep."""

Source = Literal["file", "environment", "default", "program"]
"""The origin of a value. `program` is a value that neither a file nor the environment set."""
Takes = Literal["at once", "with new workers", "with a restart"]
"""When a change counts: with new workers after a SIGHUP, if several serve viewers."""

_OF_ORIGIN = re.compile(r"origins\[[^]]*\]\.profile")
_QUERY = re.compile(r"^(https?://[^?]*\?).+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sourced:
    """One value that is in force."""

    key: str
    """Path of the setting, such as `cache.bytes` or `origins[pacs].url`."""
    value: Any
    """The value as JSON. A URL has no query, which could be a secret."""
    source: Source
    """Where it comes from."""
    at: str
    """File and line, or the variable's name; empty for a default."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that another file changes."""

    key: str
    """Path of the setting."""
    before: Any
    """The value in force; None if there is none."""
    after: Any
    """The value in the other file; None if there is none."""
    at: str
    """Where the other value comes from: file and line, or empty for a default."""
    takes: Takes
    """When it would count."""


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of another file."""

    faults: tuple[str, ...]
    """Its faults, with lines. If there are any, the proxy takes none of it."""
    differences: tuple[Difference, ...]
    """Values that would be others."""


class InForce:
    """The configuration in force."""

    def __init__(self, settings: Settings, path: Path | None, *, has_workers: bool = False) -> None:
        """Reads the file at `path` for its lines; None if there is none. Raises `ConfigurationError`.

        `has_workers` is True if several workers serve viewers, which can be replaced one by one.
        """
        self.path = path
        """The file."""
        self._at_start = self._latest = settings
        self._text = self._latest_text = "" if path is None else text_of(path)
        self._has_workers = has_workers

    def take(self, settings: Settings, text: str) -> None:
        """A changed file was read; of it, only what counts at once is in force."""
        self._latest, self._latest_text = settings, text

    def replace(self, settings: Settings) -> None:
        """All workers were replaced by ones with these settings. Raises `ConfigurationError`."""
        self._at_start = self._latest = settings
        self._text = self._latest_text = "" if self.path is None else text_of(self.path)

    def _follow(self) -> None:
        """Takes from the file what the workers have taken, each for itself."""
        if self.path is None or not self._has_workers:
            return
        with suppress(ConfigurationError):  # then they have not taken it either
            text = text_of(self.path)
            if text != self._latest_text:
                settings = parse(text, self._name, Settings)
                if _names(settings) == _names(self._at_start):
                    self.take(settings, text)

    def values(self) -> list[Sourced]:
        """All values in force, in the order of the settings. Raises `ConfigurationError`."""
        self._follow()
        found = sourced(self._at_start, self._name, self._text)
        if self._latest_text == self._text:
            return list(found)
        latest = sourced(self._latest, self._name, self._latest_text)
        newer = [each for each in latest if _is_at_once(each.key)]
        return [*newer, *(each for each in found if not _is_at_once(each.key))]

    @property
    def _name(self) -> str:
        return "" if self.path is None else str(self.path)

    def change_on_disk(self) -> Change:
        """The effect of the file, as it is on disk now."""
        if self.path is None:
            return Change(("there is no file",), ())
        try:
            return self.change(text_of(self.path))
        except ConfigurationError as error:
            return Change(tuple(str(error).splitlines()), ())

    def change(self, text: str) -> Change:
        """The effect of a file with this text. It reads no other file."""
        name = self._name or "the file"
        try:
            if len(text.encode()) > MAX_BYTES:
                raise ConfigurationError(f"{name}: the file is larger than {MAX_BYTES} bytes")
            settings = parse(text, name, Settings)
            after = {each.key: each for each in sourced(settings, name, text)}
        except ConfigurationError as error:
            return Change(tuple(str(error).splitlines()), ())
        before = {each.key: each for each in self.values()}
        same = _names(settings) == _names(self._at_start)
        keys = [key for key in {**before, **after} if _value(before, key) != _value(after, key)]
        differences = (
            Difference(
                key,
                _value(before, key),
                _value(after, key),
                after[key].at if key in after else "",
                self._takes(key, is_same=same),
            )
            for key in keys
        )
        return Change((), tuple(differences))

    def _takes(self, key: str, *, is_same: bool) -> Takes:
        """When a changed value counts; `is_same` is True if the origins keep their names."""
        if is_same and _is_at_once(key):
            return "at once"
        is_fixed = any(key == fixed or key.startswith(f"{fixed}.") for fixed in FIXED)
        return "with new workers" if self._has_workers and not is_fixed else "with a restart"


def _is_at_once(key: str) -> bool:
    return re.split(r"[.\[]", key)[0] in AT_ONCE or _OF_ORIGIN.fullmatch(key) is not None


def _names(settings: Settings) -> set[str]:
    return {origin.name for origin in settings.origins}


def _value(values: Mapping[str, Sourced], key: str) -> Any:  # noqa: ANN401  # JSON
    return values[key].value if key in values else None


def sourced(
    settings: Settings, name: str, text: str, environment: Mapping[str, str] = os.environ
) -> Iterator[Sourced]:
    """Each value of settings that were read from a text; `name` is that of the file, empty if none was.

    Raises `ConfigurationError`.
    """
    line = lines_in(text, name) if name else None
    variables = {variable.upper(): (variable, value) for variable, value in environment.items()}
    for label, path, value, is_set in _leaves(settings, settings.model_dump(mode="json", fallback=str)):
        source, at = _source(path, variables, line, name) if is_set else ("default", "")
        yield Sourced(label, _without_query(value), source, at)


def _source(
    path: Key, variables: Mapping[str, tuple[str, str]], line: Callable[[Key], int] | None, name: str
) -> tuple[Source, str]:
    config = Settings.model_config
    prefix, delimiter = config["env_prefix"].upper(), config["env_nested_delimiter"] or "__"
    for size in range(len(path), 0, -1):
        steps = [step for step in path[:size] if isinstance(step, str)]
        variable = variables.get(prefix + delimiter.join(steps).upper()) if len(steps) == size else None
        if variable is not None and _has(variable[1], path[size:]):
            return "environment", variable[0]
    return ("program", "") if line is None else ("file", f"{name}:{line(path)}")


def _has(value: str, path: Key) -> bool:
    """True if a variable's value sets what is at a path within it. A word stands for a whole section."""
    if not path:
        return True
    try:
        found: Any = json.loads(value)
        for step in path:
            if not isinstance(found, dict | list):
                break
            found = found[step]  # type: ignore[index]  # a step that does not fit is an error below
    except (ValueError, RecursionError):
        return True
    except (LookupError, TypeError):
        return False
    return True


Leaf = tuple[str, Key, Any, bool]
"""The label of a value, its path in the file, the value as JSON, and True if it was set."""


def _leaves(
    value: Any,  # noqa: ANN401  # a model, or a part of one
    dumped: Any,  # noqa: ANN401  # the same as JSON
    label: str = "",
    path: Key = (),
    *,
    is_set: bool = True,
) -> Iterator[Leaf]:
    """Yields the values of a model, those of its sections one by one."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            below = getattr(value, name)
            said = is_set and name in value.model_fields_set
            at = f"{label}.{name}" if label else name
            yield from _leaves(below, dumped.get(name), at, (*path, name), is_set=said)
    elif isinstance(value, tuple | list) and any(isinstance(each, BaseModel) for each in value):
        for number, each in enumerate(value):
            at = f"{label}[{getattr(each, 'name', number)}]"
            yield from _leaves(each, dumped[number], at, (*path, number), is_set=is_set)
    elif isinstance(value, dict) and value and all(isinstance(each, BaseModel) for each in value.values()):
        for name, each in value.items():
            yield from _leaves(each, dumped.get(name), f"{label}.{name}", (*path, name), is_set=is_set)
    else:
        yield label, path, dumped, is_set


def _without_query(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Leaves out the query of a URL, where some services want a key."""
    return _QUERY.sub(r"\1…", value) if isinstance(value, str) else value

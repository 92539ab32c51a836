"""Reads a profile, or a viewer's retrieve configuration, from a file: YAML, JSON, or JavaScript."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.errors import ConfigurationError, NotUnderstood
from proxy.plan.javascript import looks_like_javascript, read_javascript
from proxy.plan.literals import line_in
from proxy.plan.profile import Profile, extended
from proxy.plan.spread import viewers_stages
from proxy.settings.reading import faults_of, keys_of, parse, text_of

PROFILE_KEYS = frozenset(field.alias or name for name, field in Profile.model_fields.items()) | {"create"}
"""Keys of a profile's file."""
SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx")
"""Names of files with JavaScript or TypeScript."""


def is_profile(path: Path) -> bool:
    """True if a file holds a profile, and not a configuration. False if it can't be read."""
    try:
        text = text_of(path)
        if path.suffix in SUFFIXES:
            return True
        keys = keys_of(text, str(path))
    except ConfigurationError:
        return path.is_file() and _is_read_as_javascript(path)
    is_spread = any(key.startswith("...") for key in keys)
    return bool(PROFILE_KEYS & keys) or is_spread or (not keys and looks_like_javascript(text))


def _is_read_as_javascript(path: Path) -> bool:
    try:
        read_javascript(text_of(path), viewers_stages())
    except ConfigurationError:
        return False
    return True


def read_profile(path: Path) -> Profile:
    """Reads a profile from its file. Raises `ConfigurationError`, one line per fault."""
    text, name = text_of(path), str(path)
    if path.suffix in SUFFIXES:
        return _extended(_of_javascript(text, name), name)
    return profile_of_text(text, name)


def profile_of_text(text: str, name: str) -> Profile:
    """Reads a profile from a text; `name` stands for the file. Raises `ConfigurationError`, as above."""
    return _extended(_of_any(text, name), name)


def _extended(profile: Profile, name: str) -> Profile:
    try:
        return extended(profile, {})
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _of_any(text: str, name: str) -> Profile:
    """Reads YAML or JSON, and if that fails, JavaScript."""
    try:
        return parse(text, name, Profile)
    except ConfigurationError as fault:
        if not looks_like_javascript(text):
            raise
        try:
            values = read_javascript(text, viewers_stages())
        except NotUnderstood as error:
            is_code = "can't be read as JavaScript" not in error.words
            raise _placed(error, name) if is_code else fault from None
        return _validated(values, name)


def _of_javascript(text: str, name: str) -> Profile:
    try:
        values = read_javascript(text, viewers_stages())
    except NotUnderstood as error:
        raise _placed(error, name) from None
    return _validated(values, name)


def _placed(error: NotUnderstood, name: str) -> ConfigurationError:
    return ConfigurationError(f"{name}:{error.line}: {error.words}")


def _validated(values: dict[str, Any], name: str) -> Profile:
    try:
        return Profile(**values)
    except ValidationError as error:
        faults = faults_of(error, lambda path: line_in(values, path), name, Profile)
        raise ConfigurationError("\n".join(faults)) from None

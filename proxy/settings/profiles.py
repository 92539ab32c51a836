"""Reads a profile, or a viewer's retrieve configuration, from a file of its own."""

from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.plan.profile import Profile
from proxy.settings.reading import keys_of, read

PROFILE_KEYS = frozenset(field.alias or name for name, field in Profile.model_fields.items()) | {"create"}
"""Keys of a profile's file."""


def is_profile(path: Path) -> bool:
    """True if a file holds a profile, and not a configuration. False if it can't be read."""
    try:
        return bool(PROFILE_KEYS.intersection(keys_of(path)))
    except ConfigurationError:
        return False


def read_profile(path: Path) -> Profile:
    """Reads a profile from its file. Raises `ConfigurationError`, one line per fault."""
    return read(path, Profile)

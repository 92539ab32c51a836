"""Builds from the settings the part that finds callers."""

from pathlib import Path

from proxy.access.caller import Access
from proxy.errors import ConfigurationError
from proxy.origin.rotation import Files
from proxy.settings.model import Settings

FEWEST = 32
"""Bytes of the shortest key."""


def access_of(settings: Settings) -> Access:
    """The part that finds callers. Reads files, which blocks. Raises `ConfigurationError`."""
    said = settings.access
    key = None if said.key_file is None else key_in(said.key_file)
    return Access(said.policy, settings.forward, said.counted_cookies, key=key, claims=said.identity.claims)


def key_in(path: Path) -> bytes:
    """The key in a file: all its bytes. Raises `ConfigurationError`."""
    try:
        key = Files((path,), lambda contents: contents[0]).read()
    except ConfigurationError as error:
        raise ConfigurationError(f"access.key_file: {error}") from error
    if len(key) < FEWEST:
        words = f"has {len(key)} bytes, and a key has at least {FEWEST}, such as from `openssl rand`"
        raise ConfigurationError(f"access.key_file: {path}: {words}")
    return key

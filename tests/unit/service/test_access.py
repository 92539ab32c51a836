from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from proxy.access.caller import Access
from proxy.errors import ConfigurationError
from proxy.service.access import access_of
from proxy.settings.model import Settings
from proxy.wire.via import Via

BEARER = ("authorization", "Bearer t")


def made(settings: Settings) -> Access:
    return access_of(settings, Via(), AsyncExitStack())


def settings(path: Path) -> Settings:
    given: dict[str, Any] = {"policy": "credential", "key_file": str(path)}
    origin: Any = {"url": "http://pacs.example"}
    return Settings(origins=(origin,), access=given)


def test_the_key_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    one, again = (made(settings(path)).partition([BEARER]) for _ in range(2))
    assert one == again
    path.write_bytes(bytes(range(1, 33)))
    assert made(settings(path)).partition([BEARER]) != one


def test_a_key_that_can_not_be_used_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ConfigurationError, match=rf"^access.key_file: {path}: can't be read"):
        made(settings(path))
    path.write_bytes(b"k" * 31)
    with pytest.raises(ConfigurationError, match=rf"^access.key_file: {path}: has 31 bytes, .* at least 32"):
        made(settings(path))

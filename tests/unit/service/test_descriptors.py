"""The connections of viewers leave open files for everything else."""

from typing import Any

import pytest

from proxy.service.descriptors import FEWEST, admin_connections, most_connections
from proxy.settings.model import Settings


def settings_of(origins: int = 1, **more: Any) -> Settings:
    named = [{"name": f"o{number}", "url": "http://pacs"} for number in range(origins)]
    return Settings(origins=named, **more)


@pytest.mark.parametrize(
    ("files", "origins", "connections"),
    [(65536, 1, 32672), (1024, 1, 416), (1024, 3, 384), (256, 1, 32), (20, 1, FEWEST)],
)
def test_half_of_what_is_left_is_for_viewers(files: int, origins: int, connections: int) -> None:
    assert most_connections(settings_of(origins), files) == connections


def test_a_setting_can_only_lower_it() -> None:
    assert most_connections(settings_of(bounds={"connections": 100}), 65536) == 100
    assert most_connections(settings_of(bounds={"connections": 100_000}), 1024) == 416


def test_300_viewers_with_24_connections_each_have_room() -> None:
    settings = settings_of()
    assert most_connections(settings, 65536) > 300 * 24
    assert settings.bounds.waiting > 300 * 24
    assert settings.bounds.sending > 300 * 24


def test_health_has_connections_that_no_other_request_takes() -> None:
    settings = settings_of()
    assert admin_connections(settings) > settings.bounds.operators

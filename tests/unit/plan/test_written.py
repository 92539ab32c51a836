"""A profile as YAML reads back as the same profile."""

from typing import Any

import pytest
import yaml

from proxy.plan.names import STOCK
from proxy.plan.profile import Profile, stock_profile
from proxy.plan.written import written


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_profile_reads_back(name: str) -> None:
    assert Profile.model_validate(yaml.safe_load(written(stock_profile(name)))) == stock_profile(name)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"first": "1/16", "complete": "on-demand", "validators": "off"},
        {"first": "≥ 256", "prefetch": {"trigger": "metadata", "budget": "1MiB", "window": 3}},
        {"retrieveOptions": {"single": {"default": {"rangeIndex": 0}, "1.2.840.10008.1.2.4.202": {}}}},
        {"retrieveOptions": {"single": {"imageQualityStatus": "LOSSY", "urlArguments": "a=1&b=2"}}},
        {"stages": [{"id": "yes", "positions": [0.5, 0, -1], "barrier": True}, {"id": "1"}]},
    ],
)
def test_every_kind_of_value_reads_back(keys: dict[str, Any]) -> None:
    profile = Profile.model_validate(keys)
    assert Profile.model_validate(yaml.safe_load(written(profile)) or {}) == profile


def test_a_stage_is_one_line() -> None:
    text = written(Profile.model_validate({"stages": [{"id": "all", "decimate": 2, "retrieveType": "fast"}]}))
    assert text == "stages:\n- {id: all, decimate: 2, retrieveType: fast}\n"

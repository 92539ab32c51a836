"""Writes a profile as the YAML to paste into a settings file. Imports yaml."""

from typing import Any

import yaml

from proxy.plan.profile import Profile

WIDTH = 140
"""Characters of a line, unless a single value is longer."""


def written(profile: Profile) -> str:
    """Returns a profile as YAML, without defaults. Reading it gives the same profile.

    >>> print(written(Profile.model_validate({"stages": [{"id": "all"}], "first": 65536})), end="")
    stages:
    - {id: all}
    first: 65536
    """
    told = profile.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if "retrieveOptions" in told:
        told["retrieveOptions"] = {key: _plain(value) for key, value in told["retrieveOptions"].items()}
    return yaml.safe_dump(
        _with_integers(told), sort_keys=False, default_flow_style=None, allow_unicode=True, width=WIDTH
    )


def _plain(by_syntax: dict[str, Any]) -> dict[str, Any]:
    """Options for all transfer syntaxes need no list of them."""
    options: dict[str, Any] = by_syntax["default"] if set(by_syntax) == {"default"} else by_syntax
    return options


def _with_integers(value: Any) -> Any:  # noqa: ANN401  # JSON values
    """Writes 3.0 as people do: 3."""
    if isinstance(value, dict):
        return {key: _with_integers(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_with_integers(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

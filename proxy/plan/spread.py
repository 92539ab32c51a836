"""Builds a profile on another one: by `extends`, or by a viewer's stock stages that are spread into it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from proxy.plan.names import stock_text

SPREADS = {
    f"{name}RetrieveStages": name for name in ("single", "sequential", "interleaved", "coarseInterleaved")
}
"""A viewer's names of its stock stages, and the built-in profiles with the same stages."""


@cache
def viewers_stages() -> Mapping[str, Any]:
    """The stock configurations of Cornerstone3D by name. They have stages only.

    The viewer fetches the first images of a volume whole; the built-in profile fetches their first bytes.
    """
    return {name: {"stages": _stages(stock)} for name, stock in SPREADS.items()}


def _stages(stock: str) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = yaml.safe_load(stock_text(stock))["stages"]
    first = stages[0]
    if first.get("retrieveType") == "multipleFast":
        stages[0] = {key: value for key, value in first.items() if key != "retrieveType"}
    return stages


def with_spreads(value: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces `...interleavedRetrieveStages`, a key in YAML, by what it stands for. Raises `ValueError`."""
    found: dict[str, Any] = {}
    for key, below in value.items():
        if not str(key).startswith("..."):
            found[key] = below
            continue
        name = str(key).strip(". ").rpartition(".")[2]
        if name not in SPREADS or below is not None:
            raise ValueError(
                f"{key}: only {', '.join(SPREADS)} can be spread; "
                "for a profile of this file write `extends: NAME`"
            )
        found |= viewers_stages()[name]
    return found

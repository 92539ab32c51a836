"""README and program say the same: every setting, command, metric; its examples run; so do docstrings'."""

import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import proxy
from proxy.cli import main
from proxy.plan.profile import STOCK, Profile
from proxy.settings.model import Settings
from proxy.telemetry.metrics import Metrics

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text("utf-8")


def section(name: str) -> str:
    found = re.search(f"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, default and words of each setting."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "origins":
            kind, name = field.annotation.__args__[0], "origins[]"  # type: ignore[union-attr]  # a tuple of them
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            default = default_of(field.get_default(call_default_factory=True))
            yield f"{prefix}{name}", default, field.description or ""


def default_of(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1024**2 and value % 1024**2 == 0:
        return f"`{value // 1024**3}GiB`" if value % 1024**3 == 0 else f"`{value // 1024**2}MiB`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return "none" if value in (None, {}) else f"`{value}`"


def settings_table() -> str:
    rows = [f"| `{path}` | {default} | {words} |" for path, default, words in leaves(Settings)]
    return "\n".join(["| key | default | |", "|---|---|---|", *rows, ""])


def metrics_table() -> str:
    rows = []
    for metric in vars(Metrics()).values():
        for family in metric.collect() if hasattr(metric, "_labelnames") else ():
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(metric._labelnames)
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(["| metric | type | labels | |", "|---|---|---|---|", *sorted(rows), ""])


def test_every_setting_is_in_the_readme() -> None:
    assert section("settings") == settings_table()


def test_every_metric_is_in_the_readme() -> None:
    assert section("metrics") == metrics_table()


@pytest.mark.parametrize("command", ["serve", "demo", "measure", "plan", "check", "inspect", "create"])
def test_every_command_and_option_is_in_the_readme(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert f"`progressive-proxy {command}" in TEXT
    assert {option for option in options if option not in TEXT} == set()


def test_every_stock_profile_is_in_the_readme() -> None:
    assert all(f"`{name}`" in TEXT for name in STOCK)
    assert all(f"`{key}`" in TEXT for key in ("first", "complete"))
    assert {"first", "complete"} <= set(Profile.model_fields)


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_every_yaml_example_is_a_good_configuration(block: str) -> None:
    assert Settings(**yaml.safe_load(block)).origins


def test_the_table_is_one_that_was_measured() -> None:
    lines = section("table").splitlines()
    rows = [line for line in lines if re.search(r"direct|(proxy|plan) (cold|hot)", line)]
    assert len(rows) == 52
    assert all(len(line) <= 80 for line in lines)


MODULES = sorted(module.name for module in pkgutil.walk_packages(proxy.__path__, "proxy."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

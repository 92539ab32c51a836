"""The chart's values, its schema and the program's settings agree."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.plan.names import STOCK, stock_text
from tests.chart import readme, values_schema
from tests.chart.rendering import CHART, HELMS, objects, one, values_of
from tests.chart.tools import run, tried
from tests.pages.parts import yaml_examples

VALUES = (CHART / "values.yaml").read_text("utf-8")
EXAMPLES = [yaml.safe_load(block) for _, block in yaml_examples()]
SETTINGS = [each for each in EXAMPLES if "origins" in each]
KEYS = set(yaml.safe_load(VALUES))
OF_THE_CHART = [each for each in EXAMPLES if set(each) <= KEYS]


def test_the_schema_is_the_one_of_the_settings() -> None:
    assert values_schema.SCHEMA.read_text("utf-8") == values_schema.text()


def test_the_readme_is_the_one_of_the_values() -> None:
    assert readme.README.read_text("utf-8") == readme.text()
    for key in KEYS:
        assert f"| `{key}" in readme.text()


def test_every_value_has_words() -> None:
    lines = VALUES.splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r" *[A-Za-z]+:", line)]
    has_children = {i for i in keys if re.match(r"^[a-zA-Z]+:$|^  [a-z]+:$", lines[i])}
    unexplained = [
        lines[i]
        for i in keys
        if i not in has_children and not lines[i - 1].lstrip().startswith("#") and not _is_inside(lines, i)
    ]
    assert unexplained == []


def _is_inside(lines: list[str], index: int) -> bool:
    """True if a line has Kubernetes' own keys."""
    heads = [line for line in lines[:index] if re.match(r"[a-zA-Z]+:", line)]
    return heads[-1].rstrip(":").lower().endswith("securitycontext") and lines[index].startswith("  ")


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_every_configuration_in_the_pages_is_a_good_value(helm: str, number: int, tmp_path: Path) -> None:
    _taken(helm, SETTINGS[number], tmp_path)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("number", range(len(OF_THE_CHART)))
def test_every_chart_value_in_the_pages_renders(helm: str, number: int, tmp_path: Path) -> None:
    values = {"config": {"origins": [{"url": "http://pacs.example"}]}} | OF_THE_CHART[number]
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(values), "utf-8")
    run(helm, "template", "x", CHART, "--values", path)


@pytest.mark.parametrize("name", STOCK)
def test_every_stock_profile_is_a_good_value(name: str, tmp_path: Path) -> None:
    profile = yaml.safe_load(stock_text(name))
    _taken("helm4", {"origins": [{"url": "http://pacs"}], "profiles": {"mine": profile}}, tmp_path)


def _taken(helm: str, config: dict[str, Any], folder: Path) -> None:
    """Checks that the chart accepts a configuration and that the program then reads the same one."""
    path = folder / "values.yaml"
    path.write_text(json.dumps({"config": config}), "utf-8")
    made = one("ConfigMap", run(helm, "template", "x", CHART, "--values", path))["data"]["config.yaml"]
    made_config = yaml.safe_load(made)
    listen = made_config.pop("listen")
    assert listen["viewers"] == "127.0.0.1:8080"
    assert listen | config.get("listen", {}) == listen
    assert made_config | {"listen": config.get("listen")} == {"listen": None} | config


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("config.nothing=1", "nothing"),
        ("config.cache.bytes=true", "bytes"),
        ("mode=both", "mode"),
        ("objectives.first.within=0.4", "within"),
        ("config.origins=null", "origins"),
        ("replicaCount=3", "replicaCount"),
    ],
)
def test_wrong_values_are_refused_by_name(helm: str, wrong: str, named: str) -> None:
    done = tried(helm, "template", "x", CHART, "--values", values_of("least"), "--set", wrong)
    assert done.returncode != 0
    assert "schema" in done.stderr
    assert named in done.stderr


def test_values_that_are_numbers_reach_the_program_as_they_are() -> None:
    manifest = run("helm3", "template", "x", CHART, "--values", values_of("standalone"))
    config = next(
        each["data"]["config.yaml"] for each in objects(manifest) if "config.yaml" in each.get("data", {})
    )
    assert yaml.safe_load(config)["cache"] == {"bytes": 1073741824}
    assert "e+" not in config

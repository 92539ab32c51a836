"""One version: the program, the chart and what the chart installs."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_program_and_charts_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    chart = yaml.safe_load((ROOT / "charts/progressive-proxy/Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"], version("progressive-proxy")) == (project,) * 3

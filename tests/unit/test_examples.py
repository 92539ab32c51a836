"""The examples fit this version: the program checks the configurations, the chart knows the values."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.cli import main
from proxy.settings.model import Settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CHART = yaml.safe_load((ROOT / "charts/progressive-proxy/values.yaml").read_text("utf-8"))
CONFIGURATIONS = sorted(EXAMPLES.glob("*/config.yaml"))
VALUES = {"sidecar": "proxy", "standalone": ""}
"""The key below which an example has values of the chart; empty if it has nothing else."""


def values_of(example: str) -> dict[str, Any]:
    values = yaml.safe_load((EXAMPLES / example / "values.yaml").read_text("utf-8"))
    found = values[VALUES[example]] if VALUES[example] else values
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.parent.name)
def test_the_program_takes_the_configuration(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0
    assert "is valid" in capsys.readouterr().out


@pytest.mark.parametrize("example", VALUES)
def test_the_chart_has_each_value_and_the_program_takes_the_configuration(example: str) -> None:
    values = values_of(example)
    assert set(values) <= set(CHART)
    assert Settings(**values["config"]).origins


def test_compose_gives_the_proxy_its_configuration_and_its_port() -> None:
    folder = EXAMPLES / "in-front-of-orthanc"
    services = yaml.safe_load((folder / "compose.yaml").read_text("utf-8"))["services"]
    settings = Settings(**yaml.safe_load((folder / "config.yaml").read_text("utf-8")))
    proxy = services["proxy"]
    assert proxy["command"] == ["serve", "--config", proxy["volumes"][0].split(":")[1]]
    assert proxy["volumes"][0].startswith("./config.yaml:")
    assert proxy["ports"][0].endswith(f":{settings.listen.viewers.rpartition(':')[2]}")
    host = settings.origins[0].url.split("/")[2].partition(":")[0]
    assert host in services


def test_every_example_is_named_on_the_page() -> None:
    page = (EXAMPLES / "README.md").read_text("utf-8")
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert {name for name in folders if f"]({name}/)" in page} == folders

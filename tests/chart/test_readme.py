"""The operator's section of README, followed step by step as far as that works without a cluster."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import CHARTS
from tests.chart.tools import tool

README = (CHARTS.parent / "README.md").read_text("utf-8")
SECTION = (re.findall(r"<!-- operators: begin -->\n(.*?)<!-- operators: end -->", README, re.DOTALL) or [""])[
    0
]
COMMANDS = re.findall(r"^    (.+)$", SECTION, re.MULTILINE)
NEEDS_A_CLUSTER = ("helm upgrade", "helm test")
NEEDS_A_REGISTRY = ("docker build",)


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_its_commands_work_in_their_order(helm: str, tmp_path: Path) -> None:
    shutil.copytree(CHARTS, tmp_path / "charts")
    here = {"helm": tool(helm), "kubectl": tool("kubectl")}
    ran = 0
    for command in COMMANDS:
        if command.startswith(NEEDS_A_CLUSTER + NEEDS_A_REGISTRY):
            continue
        name, *arguments = shlex.split(command)
        done = subprocess.run(
            [here[name], *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        ran += 1
    assert ran == 5


def test_what_it_names_is_there() -> None:
    values = (CHARTS / "progressive-proxy" / "values.yaml").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z][A-Za-z.]*`(?:, `[a-z]+`)*) \|", SECTION, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(named) > 9
    for name in named:
        for word in name.split("."):
            assert re.search(rf"\b{word}\b", values), name
    for template in set(
        re.findall(r'"(progressive-proxy\.[A-Za-z]+)"|`(progressive-proxy\.[A-Za-z]+)`', SECTION)
    ):
        defined = f'define "{"".join(template)}"'
        assert any(defined in path.read_text("utf-8") for path in CHARTS.rglob("*.tpl")), template
    for link in re.findall(r"charts/[a-z/.-]+[a-z]", SECTION):
        assert (CHARTS.parent / link).exists(), link

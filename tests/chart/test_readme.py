"""The page on Kubernetes, followed word by word as far as no cluster is needed."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import CHARTS
from tests.chart.tools import tool
from tests.pages.parts import DOCS, unfenced

PAGE = (DOCS / "deploy" / "kubernetes.md").read_text("utf-8")
COMMANDS = re.findall(r"^    (.+)$", unfenced(PAGE), re.MULTILINE)
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
    rows = re.findall(r"^\| (`[a-z][A-Za-z.]*`(?:, `[a-z]+`)*) \|", PAGE, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(named) > 9
    for name in named:
        for word in name.split("."):
            assert re.search(rf"\b{word}\b", values), name
    for template in set(
        re.findall(r'"(progressive-proxy\.[A-Za-z]+)"|`(progressive-proxy\.[A-Za-z]+)`', PAGE)
    ):
        defined = f'define "{"".join(template)}"'
        assert any(defined in path.read_text("utf-8") for path in CHARTS.rglob("*.tpl")), template
    for link in re.findall(r"charts/[a-z/.-]+[a-z]", PAGE):
        assert (CHARTS.parent / link).exists(), link

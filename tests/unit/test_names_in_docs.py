"""The pages name only metrics, options and settings that exist."""

import re
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.telemetry.metrics import Metrics
from tests.pages.parts import README, ROOT, pages

COMMANDS = ("serve", "demo", "measure", "plan", "check", "inspect", "create")
OTHERS = {"--tag", "--strict", "--set", "--install", "--logs", "--config"}
"""Options of docker, helm and others."""
PAGES = [*pages(), README, *(ROOT / name for name in ("SECURITY.md", "CONTRIBUTING.md"))]


def exposed() -> set[str]:
    families = [
        family
        for metric in vars(Metrics()).values()
        if hasattr(metric, "collect")
        for family in metric.collect()
    ]
    return {name for family in families for name in (family.name, f"{family.name}_total")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_metric_on_a_page_exists(page: Path) -> None:
    named = set(re.findall(r"progressive_proxy_[a-z_]+", page.read_text("utf-8")))
    bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    assert bare <= exposed()


def test_every_option_of_the_program_on_a_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
    known = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) | OTHERS
    command = rf"progressive-proxy (?:{'|'.join(COMMANDS)})[^\n`]*"
    for page in PAGES:
        for line in re.findall(command, page.read_text("utf-8")):
            assert set(re.findall(r"--[a-z]+", line)) <= known, line

"""The version is in one place, `pyproject.toml`; what cannot read it there repeats it."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
CHARTS = ROOT / "charts"
FOLDERS = ("charts", "docs", "examples", "Dockerfile")


def chart(name: str) -> dict[str, object]:
    return dict(yaml.safe_load((CHARTS / name / "Chart.yaml").read_text("utf-8")))


def texts() -> list[Path]:
    files = [path for folder in FOLDERS for path in (ROOT / folder, *(ROOT / folder).rglob("*"))]
    kinds = {".md", ".yaml", ".yml", ".txt", ""}
    return [
        path for path in files if path.is_file() and path.suffix in kinds and "node_modules" not in path.parts
    ]


def test_the_program_has_it() -> None:
    assert version("progressive-proxy") == VERSION


def test_the_chart_has_it() -> None:
    found = chart("progressive-proxy")
    assert (found["version"], found["appVersion"]) == (VERSION, VERSION)


def test_the_viewers_chart_depends_on_it() -> None:
    dependencies = chart("viewer-example")["dependencies"]
    assert isinstance(dependencies, list)
    assert [each["version"] for each in dependencies] == [VERSION]


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_tag_of_the_image_is_it(path: Path) -> None:
    tags = re.findall(r"(?<!REGISTRY/)progressive-proxy:(\d+\.\d+[\w.]*)", path.read_text("utf-8"))
    assert set(tags) <= {VERSION}


def test_the_changelog_has_it() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "Unreleased"
    assert re.search(rf"^## {re.escape(VERSION)}\b", text, re.MULTILINE)

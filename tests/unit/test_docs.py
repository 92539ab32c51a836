"""Pages and program say the same: every setting, command, metric; examples run; so do docstrings'."""

import doctest
import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import proxy
from proxy.cli import main
from proxy.measure.opening import OPEN
from proxy.plan.names import STOCK
from proxy.plan.profile import Profile
from proxy.settings.model import Settings
from tests.bench.results import save
from tests.pages.measured import Row, by_image
from tests.pages.parts import DOCS, PARTS, README, ROOT, pages, part, unfenced, yaml_examples

COMMANDS = (DOCS / "commands.md").read_text("utf-8")
CHART = ROOT / "charts" / "progressive-proxy"
CHART_VALUES = set(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))
PROFILE_KEYS = {field.alias or name for name, field in Profile.model_fields.items()}
EXAMPLES = yaml_examples()


@pytest.mark.parametrize("name", PARTS)
def test_every_generated_part_is_up_to_date(name: str) -> None:
    _, make = PARTS[name]
    assert part(name) == make(), "python -m tests.pages writes it"


def test_a_measurement_names_its_commit_machine_and_versions(tmp_path: Path) -> None:
    save("demo", "make bench", [{"first_ms": 1.5}, {"first_ms": 2.5}], tmp_path)
    found = json.loads((tmp_path / "demo.json").read_text("utf-8"))
    assert [row["first_ms"] for row in found["rows"]] == [1.5, 2.5]
    assert found["measured"].keys() == {
        "command", "commit", "date", "cores", "cpu", "system", "python", "libraries"
    }  # fmt: skip
    assert found["measured"]["libraries"]["numpy"]


def test_the_demo_s_table_has_the_opening_of_a_study_if_it_was_measured() -> None:
    times: Row = {
        f"{name}_{kind}": None for name in ("first", "seen", "final") for kind in ("ms", "limit_ms")
    }
    said = {"image": "CT", "via": "proxy", "cache": "hot", "first_bytes": 70_000, "first_resolution": None}
    whole = times | said | {"way": "whole"}
    opened = times | said | {"way": OPEN, "first_ms": 12.5, "final_ms": 24.5}
    older, newer = by_image([whole]), by_image([whole, opened])
    assert (OPEN in older, "| open a study | proxy hot | 68 KiB |  | 12.5 | 24.5 |" in newer) == (False, True)


def test_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize(
    "command", ["serve", "demo", "measure", "plan", "warm", "check", "inspect", "create"]
)
def test_every_command_and_option_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert f"`progressive-proxy {command}" in COMMANDS
    assert {option for option in options if option not in COMMANDS} == set()


def test_every_stock_profile_is_documented() -> None:
    text = (DOCS / "profiles.md").read_text("utf-8")
    assert {name for name in STOCK if f"| `{name}` |" not in text} == set()


@pytest.mark.parametrize("block", [block for _, block in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_every_yaml_example_is_good(block: str) -> None:
    found = yaml.safe_load(block)
    if set(found) <= set(Settings.model_fields):
        assert Settings(**found).origins
    elif set(found) <= PROFILE_KEYS:
        assert Profile.model_validate(found).stages
    else:
        assert set(found) <= CHART_VALUES  # tests/chart/test_values.py renders them


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", unfenced(page.read_text("utf-8")))
    dead = [target for target in targets if "://" not in target and not _leads(page, target)]
    assert dead == []


def _leads(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    return there.exists() and (not anchor or anchor in _anchors(there.read_text("utf-8")))


def _anchors(text: str) -> set[str]:
    """A page's headings as both GitHub and the site's generator name them."""
    titles = re.findall(r"^#+ (.+)$", unfenced(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    names = re.findall(r"`((?:tests|charts|docs|proxy|examples)/[\w./-]+)`", page.read_text("utf-8"))
    assert {name for name in names if not (ROOT / name).exists()} == set()


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    names = {str(page.relative_to(DOCS)) for page in pages() if page != README}
    names = {name for name in names if not name.startswith("decisions/")}  # a hook adds them
    assert {name for name in names if f": {name}" not in navigation} == set()


MODULES = sorted(module.name for module in pkgutil.walk_packages(proxy.__path__, "proxy."))
OF_TESTS = ["tests.pages.program", "tests.unit.test_language"]


@pytest.mark.parametrize("name", [*MODULES, *OF_TESTS])
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

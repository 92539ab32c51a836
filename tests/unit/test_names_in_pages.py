"""All that a page names exists: metrics, options, settings, tests, panels, messages, headers, links"""

import ast
import contextlib
import io
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from proxy.cli import main
from proxy.plan.profile import Prefetch
from proxy.settings.model import Settings
from tests.pages.parts import DOCS, ROOT, pages, unfenced
from tests.pages.program import families
from tests.unit.test_docs import _leads as leads

PAGES = [*pages(), *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.md"))
TROUBLESHOOTING = (DOCS / "operate" / "troubleshooting.md").read_text("utf-8")
DASHBOARD = ROOT / "charts" / "progressive-proxy" / "dashboards" / "progressive-proxy.json"
COMMANDS = ("serve", "demo", "measure", "plan", "warm", "check", "inspect", "create")
OTHERS_OPTIONS = {"--set", "--install", "--etag-compare"}
"""Of helm, pip and curl, up to the next hyphen."""
SERIES = ("_bucket", "_count", "_sum")
"""Endings that Prometheus adds to a histogram's name."""


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def metrics() -> set[str]:
    return {name for name, _, _ in families()}


@lru_cache
def options_of(command: str) -> frozenset[str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        main([command, "--help"])
    return frozenset(re.findall(r"--[a-z-]+", said.getvalue()))


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "origins" and not prefix:
            kind = field.annotation.__args__[0]  # type: ignore[union-attr]  # a tuple of them
        yield f"{prefix}{name}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{prefix}{name}.")


def settings() -> set[str]:
    paths = {*leaves(Settings), *(f"prefetch.{name}" for name in Prefetch.model_fields)}
    return paths | {path.removeprefix("origins.") for path in paths}


@lru_cache
def words_of_the_code() -> frozenset[str]:
    """Every string in the code."""
    found = set[str]()
    for path in (ROOT / "proxy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                value = node.value
                found.add(value if isinstance(value, str) else value.decode("latin-1"))
    return frozenset(found)


def first_cells(heading: str) -> list[str]:
    """What stands in backticks in the first column of the table behind a heading or a title row."""
    table = TROUBLESHOOTING.partition(heading)[2].lstrip("\n").partition("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_metric_exists(page: Path) -> None:
    known = metrics()
    named = set(re.findall(r"\bprogressive_proxy_[a-z_]+", page.read_text("utf-8")))
    bare = {re.sub(f"({'|'.join(SERIES)})$", "", name) for name in named}
    assert {name for name in bare if name not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_option_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    used = re.findall(rf"progressive-proxy ({'|'.join(COMMANDS)})\b([^`\n|#]*)", text)
    wrong = [
        (command, option)
        for command, rest in used
        for option in re.findall(r"--[a-z-]+", rest)
        if option not in options_of(command)
    ]
    assert wrong == []
    known = (
        frozenset[str]().union(*map(options_of, COMMANDS))
        | OTHERS_OPTIONS
        | {"--version", "--print-completion"}
    )
    assert {option for option in re.findall(r"`(--[a-z-]+)", text) if option not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_setting_exists(page: Path) -> None:
    known = settings()
    sections = {path.split(".")[0] for path in known if "." in path}
    named = re.findall(r"`((?:config\.)?[a-z_]+(?:\[\])?(?:\.[a-z_]+(?:\[\])?)+)`", page.read_text("utf-8"))
    plain = {name.removeprefix("config.").replace("[]", "") for name in named}
    assert {name for name in plain if name.split(".")[0] in sections and name not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_test_exists(page: Path) -> None:
    for path, name in re.findall(r"`([\w/]+\.py)::(test_\w+)`", page.read_text("utf-8")):
        text = (ROOT / "tests" / path).read_text("utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_each_statement_of_semantics_names_its_test() -> None:
    text = (DOCS / "semantics.md").read_text("utf-8")
    statements = re.split(r"\n(?=- \*\*|## |$)", text.partition("\n## ")[2])
    bare = [each for each in statements if each.startswith("- **") and "::test_" not in each]
    # Those about caching at the viewer share one story.
    assert len(bare) == 2
    assert text.count("::test_") > 40


def test_each_panel_exists() -> None:
    """On the pages for people on call, italics with a capital letter name a panel or a row."""
    titles = {panel["title"] for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]}
    pages_ = [path.read_text("utf-8") for path in (DOCS / "operate").glob("*.md")]
    named = [name for text in pages_ for name in re.findall(r"(?<!\*)\*([A-Z][^*]*)\*(?!\*)", unfenced(text))]
    assert len(named) > 4
    assert {name for name in named if name not in titles} == set()


def test_each_log_message_is_one_that_the_program_writes() -> None:
    messages = first_cells("`message` holds these texts, among others:")
    assert len(messages) == 9
    assert {message for message in messages if message not in words_of_the_code()} == set()


def test_each_reason_of_a_mismatch_exists() -> None:
    reasons = first_cells("408, 508.")
    assert len(reasons) > 10
    assert {reason for reason in reasons if reason not in words_of_the_code()} == set()


def test_each_response_header_exists() -> None:
    headers = first_cells("The headers of one frame answer most questions:")
    assert len(headers) == 6
    assert {name for name in headers if name.lower() not in words_of_the_code()} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", unfenced(page.read_text("utf-8")))
    assert [target for target in targets if "://" not in target and not leads(page, target)] == []

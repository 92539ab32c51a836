"""Each sentence of the page on alerts names a panel, a metric or a log field, and all that it names exist."""

import ast
import json
import re
from collections.abc import Iterator
from functools import lru_cache

import pytest

from proxy.telemetry.metrics import Metrics
from tests.pages.parts import DOCS, ROOT
from tests.unit.test_names_in_pages import DASHBOARD, words_of_the_code

PAGE = (DOCS / "operate" / "alerts.md").read_text("utf-8")
RULES = (ROOT / "charts/progressive-proxy/templates/rules.yaml").read_text("utf-8")
WRITTEN_BY_THE_FORMATTER = {"time", "level", "logger", "message"}


def sections() -> dict[str, str]:
    """The text below the heading of each alert."""
    found = PAGE.partition("## The alerts")[2].partition("\n## ")[0]
    return dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", found, re.DOTALL | re.MULTILINE))


def steps(section: str) -> list[str]:
    """The numbered steps of a section, each on one line."""
    found = re.findall(r"^\d+\. (.*?)(?=^\d+\. |\Z)", section, re.DOTALL | re.MULTILINE)
    return [" ".join(step.split()) for step in found]


def titles() -> set[str]:
    return {panel["title"] for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]}


@lru_cache
def metrics() -> frozenset[str]:
    """Names as Prometheus scrapes them."""
    exposition = Metrics().exposition()[0].decode()
    return frozenset(re.findall(r"^# TYPE (\S+) ", exposition, re.MULTILINE))


@lru_cache
def log_fields() -> frozenset[str]:
    """Keys of each dict that the program hands to its log."""
    found = set(WRITTEN_BY_THE_FORMATTER)
    for path in (ROOT / "proxy").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "extra" and not isinstance(node.value, ast.Name):
                found |= _keys(node.value)
            elif isinstance(node, ast.Call) and any(
                each.arg == "extra" and isinstance(each.value, ast.Name) for each in node.keywords
            ):
                (name,) = (each.value.id for each in node.keywords if isinstance(each.value, ast.Name))
                found |= _assigned(tree, name)
    return frozenset(found)


def _assigned(tree: ast.AST, name: str) -> set[str]:
    """Keys of the dicts that a variable is made of."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id == name:
                    found |= _keys(node.value)
                elif isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == name:
                    found |= {str(target.slice.value)} if isinstance(target.slice, ast.Constant) else set()
    return found


def _keys(node: ast.AST) -> set[str]:
    return {
        str(key.value)
        for each in ast.walk(node)
        if isinstance(each, ast.Dict)
        for key in each.keys
        if isinstance(key, ast.Constant)
    }


def named(sentence: str) -> Iterator[str]:
    """The panels, metrics and log fields that a sentence names."""
    for title in re.findall(r"(?<!\*)\*([A-Z][^*]*)\*(?!\*)", sentence):
        assert title in titles(), title
        yield title
    for name in re.findall(r"`([^`]+)`", sentence):
        if name.startswith(("progressive_proxy_", "process_")):
            assert name in metrics(), name
            yield name
        elif name in log_fields():
            yield name


def test_each_alert_has_a_section_and_a_row() -> None:
    alerts = {name.replace("{{ title $delivery }}", "First") for name in re.findall(r"- alert: (.+)", RULES)}
    alerts |= {name.replace("First", "Final") for name in alerts if "First" in name}
    assert set(sections()) == alerts
    assert len(alerts) == 13
    rows = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| ([a-z, ]+) \|", PAGE, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(sections())
    assert all(anchor == name.lower() for name, anchor, _ in rows)


@pytest.mark.parametrize("alert", sections())
def test_each_sentence_names_something_to_look_at(alert: str) -> None:
    found = steps(sections()[alert])
    assert len(found) >= 3
    for step in found:
        for sentence in re.split(r"(?<=[.])\s+", step):
            assert list(named(sentence)), sentence


@pytest.mark.parametrize("alert", sections())
def test_the_first_step_is_where_to_look(alert: str) -> None:
    assert re.match(r"(Look|Ask) ", steps(sections()[alert])[0])


def test_what_does_not_exist_is_found() -> None:
    assert list(named("Look at *Held* and `first_ms`.")) == ["Held", "first_ms"]
    assert list(named("Look at `nothing_ms`.")) == []
    for wrong in ("Look at *No such panel*.", "`progressive_proxy_nothing` rises."):
        with pytest.raises(AssertionError):
            list(named(wrong))


def test_fields_are_found_as_the_program_writes_them() -> None:
    assert {"why", "first_ms", "final_ms", "status", "origin", "faults", "needs_restart"} <= log_fields()


def test_each_message_that_the_page_names_is_one_of_the_program() -> None:
    text = " ".join("".join(sections().values()).split())
    names = set(re.findall(r"(?:log for|log has|log line|log lines|the lines) `([^`]+)`", text))
    assert names >= {"frame", "origin is down", "can't be used; the last good one stays"}
    assert names <= words_of_the_code()

"""The Kubernetes examples, rendered by helm, and checked by Kubernetes' schemas and the program."""

from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, CHARTS, HELMS, RELEASE, objects, one, viewer_chart
from tests.chart.test_render import CUSTOM, OPERATOR, VERSIONS
from tests.chart.tools import operator_types, run

EXAMPLES = CHARTS.parent / "examples"


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sidecar", "standalone", "ingress-nginx", "envoy-gateway"])
def manifest(request: pytest.FixtureRequest, helm: str, tmp_path: Path) -> str:
    chart = viewer_chart(tmp_path, helm) if request.param == "sidecar" else CHART
    values = EXAMPLES / request.param / "values.yaml"
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", chart, "--values", values)
    return run(helm, "template", *RELEASE, chart, "--values", values)


def test_every_kubernetes_and_the_operator_accept_it(manifest: str, tmp_path: Path) -> None:
    made = objects(manifest)
    operators = [each for each in made if each["apiVersion"] == OPERATOR]
    path = tmp_path / "all.yaml"
    others = [each for each in made if each["apiVersion"].partition("/")[0] not in CUSTOM]
    path.write_text(yaml.safe_dump_all(others), "utf-8")
    for version in (VERSIONS[0], VERSIONS[-1]):
        run("kubernetes-validate", "--kubernetes-version", version, "--strict", path)
    assert operator_types(operators) == operators


def test_the_program_finds_its_configuration_good(
    manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_PASSWORD", "x")
    path = tmp_path / "config.yaml"
    path.write_text(one("ConfigMap", manifest, "-proxy")["data"]["config.yaml"], "utf-8")
    assert "is valid" in run("progressive-proxy", "check", "--no-files", path)


def test_only_those_that_are_named_reach_the_proxy(manifest: str) -> None:
    policies = [each for each in objects(manifest) if each["kind"] == "NetworkPolicy"]
    assert any("monitoring" in yaml.safe_dump(policy["spec"]["ingress"]) for policy in policies)

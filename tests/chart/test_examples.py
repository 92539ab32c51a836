"""The Kubernetes examples, rendered by helm, and checked by Kubernetes' schemas and the program."""

from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, CHARTS, HELMS, RELEASE, objects, one, viewer_chart
from tests.chart.test_render import CUSTOM, OPERATOR, VERSIONS
from tests.chart.tools import kubernetes_takes, operator_types, run

EXAMPLES = CHARTS.parent / "examples"


@pytest.fixture(scope="module", params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["sidecar", "standalone", "ingress-nginx", "envoy-gateway"])
def manifest(request: pytest.FixtureRequest, helm: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    is_sidecar = request.param == "sidecar"
    chart = viewer_chart(tmp_path_factory.mktemp("viewer"), helm) if is_sidecar else CHART
    values = EXAMPLES / request.param / "values.yaml"
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", chart, "--values", values)
    return run(helm, "template", *RELEASE, chart, "--values", values)


def test_every_kubernetes_and_the_operator_accept_it(manifest: str) -> None:
    made = objects(manifest)
    operators = [each for each in made if each["apiVersion"] == OPERATOR]
    others = [each for each in made if each["apiVersion"].partition("/")[0] not in CUSTOM]
    kubernetes_takes(others, VERSIONS[0], VERSIONS[-1])
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

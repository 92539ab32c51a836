"""Ingress, HTTPRoute and injection: valid, and each study at one pod, by a real nginx and a real Lua."""

import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import lupa.lua54
import pytest
import yaml

from tests.chart.rendering import CHART, CHARTS, HELMS, RELEASE, Object, objects, one, rendered, values_of
from tests.chart.test_anywhere import given
from tests.chart.test_viewer import nginx
from tests.chart.tools import kubernetes_takes, route_faults, run, tried

EXAMPLES = CHARTS.parent / "examples"
PATHS = {
    "/studies/1.2.3/series/4/instances/5/frames/1": "1.2.3",
    "/studies/1.2.3/series/9/instances/8/frames/7": "1.2.3",
    "/pacs/studies/1.2.4/metadata": "1.2.4",
    "/studies/1.2.30": "1.2.30",
    "/studies?limit=1": "",
    "/studies/": "",
}
"""Requests, and the study that each belongs to."""


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def example(helm: str, name: str) -> str:
    return run(helm, "template", *RELEASE, CHART, "--values", EXAMPLES / name / "values.yaml")


def refusal(**values: Any) -> str:
    done = tried("helm4", "template", "x", CHART, "--values", values_of("standalone"), *given(**values))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("mode", ["ingress", "daemonset"])
def test_an_ingress_leads_to_the_service(helm: str, mode: str) -> None:
    values = {
        "ingress__enabled": True,
        "ingress__hosts": ["a.example", "*.b.example"],
        "ingress__path": "/pacs",
        "ingress__labels": {"c": "d"},
        "ingress__tls": [{"secretName": "tls", "hosts": ["a.example"]}],
        "networkPolicy__enabled": False,
        "measure__enabled": False,
    }
    manifest = rendered(helm, mode, *given(**values))
    made = one("Ingress", manifest)
    assert made["metadata"]["labels"]["c"] == "d"
    assert made["spec"]["tls"] == values["ingress__tls"]
    assert [rule["host"] for rule in made["spec"]["rules"]] == values["ingress__hosts"]
    (service,) = {
        (
            path["path"],
            path["pathType"],
            path["backend"]["service"]["name"],
            path["backend"]["service"]["port"]["name"],
        )
        for rule in made["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    assert service[:2] == ("/pacs", "Prefix")
    services = {each["metadata"]["name"]: each for each in objects(manifest) if each["kind"] == "Service"}
    assert service[3] in [port["name"] for port in services[service[2]]["spec"]["ports"]]


@pytest.mark.parametrize("name", ["ingress", "envoy-gateway"])
def test_a_route_is_valid_and_leads_to_the_service(helm: str, name: str) -> None:
    manifest = rendered(helm, name) if name == "ingress" else example(helm, name)
    route = one("HTTPRoute", manifest)
    assert route_faults(route) == ""
    assert set(route["spec"]) == {"parentRefs", "hostnames", "rules"}
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}
    (backend,) = rule["backendRefs"]
    service = one("Service", manifest, "-proxy")
    assert backend == {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
    route["spec"]["rules"][0]["matches"][0]["path"]["type"] = "Prefix"
    assert "path/type" in route_faults(route)


def test_names_of_an_ingress_are_names_of_the_proxy(helm: str) -> None:
    """The proxy answers 421 to other names if it has credentials of its own."""
    config = yaml.safe_load(one("ConfigMap", rendered(helm, "ingress"))["data"]["config.yaml"])
    assert {"imaging.example", "images.example"} < set(config["listen"]["hosts"])
    off = given(ingress__enabled=False, httpRoute__enabled=False)
    config = yaml.safe_load(one("ConfigMap", rendered(helm, "ingress", *off))["data"]["config.yaml"])
    assert not {"imaging.example", "images.example"} & set(config["listen"]["hosts"])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ingress__enabled": True}, "ingress.hosts: is empty"),
        ({"httpRoute__enabled": True}, "httpRoute.parentRefs: is empty"),
        (
            {"ingress__enabled": True, "ingress__hosts": ["a.example"]},
            "ingress.enabled: name the pods of its controller in networkPolicy.viewers",
        ),
        ({"mode": "sidecar", "ingress__enabled": True}, "ingress.enabled: has no effect in mode sidecar"),
        ({"mode": "sidecar", "httpRoute__enabled": True}, "httpRoute.enabled: has no effect in mode sidecar"),
        ({"ingress__path": "pacs"}, "path"),
    ],
)
def test_a_route_that_could_lead_nowhere_is_refused(values: dict[str, Any], told: str) -> None:
    assert told in refusal(**values)


def test_ingress_nginx_hashes_by_the_study(helm: str, tmp_path: Path) -> None:
    annotations = one("Ingress", example(helm, "ingress-nginx"))["metadata"]["annotations"]
    variable = annotations["nginx.ingress.kubernetes.io/upstream-hash-by"]
    controller = yaml.safe_load((EXAMPLES / "ingress-nginx" / "controller.yaml").read_text("utf-8"))
    snippet = controller["controller"]["config"]["http-snippet"]
    server = f"server {{ listen 8000; location / {{ return 200 '{variable}'; }} }}"
    with nginx(tmp_path, f"{snippet}\n{server}") as base:
        seen = {path: httpx.get(f"{base}{path}", timeout=240).text for path in PATHS}
    assert seen == {path: study or "127.0.0.1" for path, study in PATHS.items()}


def test_envoy_hashes_by_the_study(helm: str) -> None:
    manifest = example(helm, "envoy-gateway")
    extension, traffic = one("EnvoyExtensionPolicy", manifest), one("BackendTrafficPolicy", manifest)
    route = one("HTTPRoute", manifest)["metadata"]["name"]
    for policy in (extension, traffic):
        (target,) = policy["spec"]["targetRefs"]
        assert target == {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}
    by = traffic["spec"]["loadBalancer"]["consistentHash"]
    assert by["type"] == "Header"
    script = extension["spec"]["lua"][0]["inline"]
    assert {path: _header_set_by(script, path)[by["header"]["name"]] for path in PATHS} == PATHS


def _header_set_by(script: str, path: str) -> dict[str, str]:
    """The headers that Envoy's script sets for a path."""
    lua = lupa.lua54.LuaRuntime()
    headers = {":path": path}
    lua.execute(script)
    request = lua.eval(
        "function(get, set) local headers = {get = function(_, n) return get(n) end, "
        "replace = function(_, n, v) set(n, v) end}; return {headers = function() return headers end} end"
    )(headers.__getitem__, headers.__setitem__)
    lua.globals().envoy_on_request(request)
    return headers


def _written_by(expression: str) -> Object:
    """The object that a CEL expression writes; without its types it is YAML."""
    return dict(yaml.safe_load(re.sub(r"Object(\.\w+)*\{", "{", expression)))


def test_the_policy_injects_the_chart_s_own_sidecar() -> None:
    text = (EXAMPLES / "injection" / "policy.yaml").read_text("utf-8")
    policy, binding = yaml.safe_load_all(text)
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    (mutation,) = policy["spec"]["mutations"]
    injected = _written_by(mutation["applyConfiguration"]["expression"])
    paste = CHART / "examples" / "paste" / "sidecar.yaml"
    pod = yaml.safe_load(paste.read_text("utf-8"))["spec"]["template"]
    assert injected == {"metadata": pod["metadata"], "spec": pod["spec"]}
    labels = given(fullnameOverride="progressive-proxy", networkPolicy__ingress=[{"ports": [{"port": 8000}]}])
    spec = one("NetworkPolicy", rendered("helm4", "sidecar", *labels))["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= injected["metadata"]["labels"].items()


def test_kubernetes_takes_the_policy() -> None:
    policy = objects((EXAMPLES / "injection/policy.yaml").read_text("utf-8"))
    assert len(policy) == 2
    kubernetes_takes(policy, "1.36", "1.37")


def test_the_commands_of_the_examples_render(helm: str) -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    commands = re.findall(
        r"^    helm upgrade --install (\S+) (charts/progressive-proxy) (.+)$", readme, re.MULTILINE
    )
    assert len(commands) == 3
    for name, chart, options in commands:
        run(helm, "template", name, CHARTS.parent / chart, *_from_root(options))


def _from_root(options: str) -> list[str]:
    """Words of a command line, with paths from the root of the repository."""
    return [word.replace("examples/", f"{EXAMPLES}/") for word in shlex.split(options)]

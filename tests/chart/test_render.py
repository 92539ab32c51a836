"""The chart, rendered by helm 3 and 4, checked against Kubernetes' schemas, the operator and the program."""

import copy
import json
import os
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.settings.model import load
from tests.chart.rendering import (
    CASES,
    CHART,
    CHARTS,
    HELMS,
    RELEASE,
    Object,
    objects,
    one,
    rendered,
    values_of,
)
from tests.chart.tools import kubernetes_takes, operator_types, run, tried

VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
OPERATOR = "monitoring.coreos.com/v1"
CUSTOM = ("monitoring.coreos.com", "gateway.networking.k8s.io", "gateway.envoyproxy.io")
"""Groups of objects that Kubernetes itself does not know."""
ONE_SHOT = "it runs once and ends"
EXPLAINED = {
    "CKV_K8S_8": ONE_SHOT,
    "CKV_K8S_9": ONE_SHOT,
    "CKV_K8S_11": "a limit of CPU holds first pictures back (values.yaml)",
    "CKV_K8S_15": "tags are versions, which do not move; a value",
    "CKV_K8S_35": "only where the operator refers to a Secret by `env`; files by `secrets`",
    "CKV_K8S_40": "OpenShift chooses users itself; a value",
    "CKV_K8S_43": "which digest it is, only whoever pushed the image knows; a value",
    "CKV2_K8S_6": "the proxy has a policy unless it is turned off; test and measure take no connections",
}
"""Findings of checkov that are accepted, and why."""


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_helm_finds_no_fault(helm: str, case: str) -> None:
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", CHART, "--values", values_of(case))


@pytest.mark.parametrize("helm", HELMS)
def test_helm_finds_no_fault_in_the_default_values(helm: str) -> None:
    done = tried(helm, "lint", "--strict", CHART)
    assert done.returncode == 0
    assert "0 chart(s) failed" in done.stdout
    assert "[" not in done.stdout, "no line of lint's own"


@pytest.mark.parametrize("case", CASES)
def test_both_helms_make_the_same(case: str) -> None:
    three, four = (objects(rendered(helm, case)) for helm in HELMS)
    assert sorted(map(json.dumps, three)) == sorted(map(json.dumps, four))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kubernetes_takes_it(version: str) -> None:
    made = [each for case in CASES for each in objects(rendered("helm4", case, "--kube-version", version))]
    ours = [each for each in made if each["apiVersion"].partition("/")[0] not in CUSTOM]
    assert len(ours) > 20
    kubernetes_takes(ours, version)
    assert {each["kind"] for each in made} >= {
        "Deployment",
        "DaemonSet",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "Job",
    }


def test_an_older_kubernetes_is_refused() -> None:
    done = tried("helm4", "template", "x", CHART, "--values", values_of("least"), "--kube-version", "1.28")
    assert done.returncode != 0
    assert "1.29" in done.stderr


@pytest.mark.parametrize(
    ("case", "kinds"),
    [("sidecar", {"PodMonitor", "PrometheusRule"}), ("standalone", {"ServiceMonitor", "PrometheusRule"})],
)
def test_the_prometheus_operator_takes_it(case: str, kinds: set[str]) -> None:
    ours = [each for each in objects(rendered("helm4", case)) if each["apiVersion"] == OPERATOR]
    assert {each["kind"] for each in ours} == kinds
    assert operator_types(ours) == ours
    monitor = next(each for each in ours if each["kind"].endswith("Monitor"))
    monitor["spec"]["nothing"] = 1
    assert operator_types(ours) != ours
    monitor["spec"]["selector"] = 1
    with pytest.raises(AssertionError, match="selector"):
        operator_types(ours)


def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    for case in CASES:
        (tmp_path / f"{case}.yaml").write_text(rendered("helm4", case), "utf-8")
    told = tried(
        "checkov", "-d", tmp_path, "--framework", "kubernetes", "--output", "json", "--skip-download"
    )
    results = json.loads(told.stdout)["results"]
    assert len(results["passed_checks"]) > 300
    found = {each["check_id"] for each in results["failed_checks"]}
    assert found == set(EXPLAINED)


@pytest.mark.parametrize("case", CASES)
def test_the_program_takes_its_configuration(case: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    manifest = rendered("helm4", case)
    (text,) = (
        each["data"]["config.yaml"] for each in objects(manifest) if "config.yaml" in each.get("data", {})
    )
    path.write_text(text, "utf-8")
    settings = load(path)
    host = "127.0.0.1" if case == "sidecar" else "0.0.0.0"
    assert (settings.listen.viewers, settings.listen.admin) == (f"{host}:8080", "0.0.0.0:8081")
    if case == "sidecar":
        assert settings.profiles["careful"].validators == "off"


def test_a_pod_ends_later_than_its_longest_answer() -> None:
    for grace in ("60", "299.5"):
        manifest = rendered("helm4", "least", "--set-json", f"config.listen.grace={grace}")
        spec = one("Deployment", manifest)["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] >= float(grace) + 5 + 5
        before = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert before == ["python", "-c", "import time; time.sleep(5)"]


def test_the_ports_are_those_of_the_configuration() -> None:
    more = ("--set", "config.listen.admin=[::]:9001,config.listen.viewers=0.0.0.0:9000")
    manifest = rendered("helm4", "standalone", *more)
    container = one("Deployment", manifest)["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [
        {"name": "viewers", "containerPort": 9000},
        {"name": "proxy-admin", "containerPort": 9001},
    ]
    policy = one("NetworkPolicy", manifest)["spec"]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": 9001}], [{"port": 9000}]]
    assert policy["egress"][1]["ports"] == [{"port": 8042}, {"port": 443}]


@pytest.mark.parametrize("helm", HELMS)
def test_the_policy_lets_the_proxy_reach_those_who_decide_about_callers_and_the_collector(helm: str) -> None:
    jwt = "issuer=i,config.access.jwt.audience=a,config.access.jwt.jwks_url=https://login.example:8443/keys"
    for more, ports in (
        ((), [8042, 443]),
        (("--set", "config.access=shared"), [8042, 443]),
        (("--set", "config.access.forward_auth=http://authorizer:4180/auth"), [8042, 443, 4180]),
        (("--set", f"config.access.jwt.{jwt}"), [8042, 443, 8443]),
        (("--set", "config.traces.endpoint=http://collector:4318/v1/traces"), [8042, 443, 4318]),
    ):
        policy = one("NetworkPolicy", rendered(helm, "standalone", *more))["spec"]
        assert policy["egress"][1]["ports"] == [{"port": port} for port in ports]


@pytest.mark.parametrize("helm", HELMS)
def test_the_policy_lets_the_proxy_reach_an_http_proxy_instead_of_the_origin(helm: str) -> None:
    pacs = {"name": "pacs", "url": "https://pacs.example:4443/dicom-web"}
    variable = {"name": "HTTPS_PROXY", "value": "http://me:pw@proxy.example:3129"}
    secret = {"name": "https_proxy", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
    for via, env, ports in (
        (None, [variable], [4443]),
        ("http://proxy.example:3128", [], [3128]),
        ("https://proxy.example", [], [443]),
        ({"url": "http://proxy.example", "user": "u", "password_file": "p"}, [], [80]),
        ("environment", [variable], [4443, 3129]),
        ("environment", [secret], [4443]),
    ):
        origin = pacs | ({"via": via} if via else {})
        more = f"config.origins={json.dumps([origin])}", f"env={json.dumps(env)}"
        made = rendered(
            helm, "standalone", "--set", "measure.enabled=false", "--set-json", more[0], "--set-json", more[1]
        )
        assert one("NetworkPolicy", made)["spec"]["egress"][1]["ports"] == [{"port": port} for port in ports]


SERVERS: dict[str, tuple[dict[str, Any], int]] = {
    "access": ({"access": {"forward_auth": "http://authorizer:4180/auth"}}, 4180),
    "traces": ({"traces": {"endpoint": "http://collector:4318/v1/traces"}}, 4318),
    "objects": ({"cache": {"objects": {"url": "s3://bucket", "endpoint": "http://store:9000"}}}, 9000),
    "oauth2": (
        {"token_url": "https://login.example:8443/token", "client_id": "a", "client_secret_file": "/a"},
        8443,
    ),
}


@pytest.mark.parametrize("place", SERVERS)
def test_the_policy_lets_the_proxy_reach_each_server_or_the_http_proxy_on_the_way(place: str) -> None:
    said, port = SERVERS[place]
    for via, ports in ((None, [4443, port]), ("http://proxy.example:3128", [4443, 3128])):
        pacs: dict[str, Any] = {"name": "pacs", "url": "https://pacs.example:4443/dicom-web"}
        config: dict[str, Any] = copy.deepcopy(said) if place != "oauth2" else {}
        section = {"access": config.get("access"), "traces": config.get("traces")}.get(place)
        if place == "objects":
            section = config["cache"]["objects"]
            config["access"] = {"key_file": "/a"}
        if place == "oauth2":
            section = dict(said)
            pacs["credentials"] = {"oauth2": section}
        assert section is not None
        section |= {"via": via} if via else {}
        values = {"origins": [pacs]} | config
        settings = [
            word
            for key, value in values.items()
            for word in ("--set-json", f"config.{key}={json.dumps(value)}")
        ]
        made = rendered("helm4", "standalone", "--set", "measure.enabled=false", *settings)
        assert one("NetworkPolicy", made)["spec"]["egress"][1]["ports"] == [{"port": each} for each in ports]


def _rolls(*more: object) -> str:
    template = one("Deployment", rendered("helm4", "least", *more))["spec"]["template"]
    return json.dumps(template, sort_keys=True)


def test_profiles_change_without_a_restart_and_all_else_rolls_the_pods() -> None:
    before = _rolls()
    assert _rolls("--set", "config.profiles.mine.first=128KiB,config.profile=mine") == before
    assert _rolls("--set", "config.cache.bytes=2GiB") != before
    assert _rolls("--set", "config.cors.max_age=5") != before


def test_the_configuration_and_secrets_are_mounted_as_directories() -> None:
    spec = one("Deployment", rendered("helm4", "standalone"))["spec"]["template"]["spec"]
    mounts = spec["containers"][0]["volumeMounts"]
    assert [each["mountPath"] for each in mounts] == [
        "/etc/progressive-proxy/config",
        "/etc/progressive-proxy/secrets/cloud-token",
    ]
    assert all("subPath" not in each and each["readOnly"] for each in mounts)
    assert spec["containers"][0]["env"][-1]["valueFrom"]["secretKeyRef"]["name"] == "pacs"


def test_an_upgrade_keeps_what_can_not_change(tmp_path: Path) -> None:
    """Names and selectors do not depend on the versions of the chart and the program, or on values."""
    newer = tmp_path / "newer"
    run("helm4", "package", CHART, "--version", "9.9.9", "--app-version", "9.9.9", "--destination", newer)
    more = ("--set", "image.tag=x,service.port=80,config.cache.ttl=5,podSpec.priorityClassName=x")
    for case in CASES:
        old = objects(rendered("helm4", case))
        new = objects(rendered("helm4", case, *more, chart=next(newer.iterdir())))
        assert [_kept(each) for each in old] == [_kept(each) for each in new]
        assert old != new


def _kept(each: Object) -> Object:
    spec = each.get("spec", {})
    return {
        "kind": each["kind"],
        "name": each["metadata"]["name"],
        "selector": spec.get("selector"),
        "clusterIP": spec.get("clusterIP"),
        "replicas": spec.get("replicas"),
        "podSelector": spec.get("podSelector"),
    }


def test_whoever_scales_the_pods_is_not_overruled_by_an_upgrade() -> None:
    manifest = rendered("helm4", "standalone")
    assert "replicas" not in one("Deployment", manifest)["spec"]
    assert (
        one("HorizontalPodAutoscaler", manifest)["spec"]["scaleTargetRef"]["name"]
        == "imaging-progressive-proxy"
    )


def test_only_the_proxy_s_pods_are_behind_its_services() -> None:
    manifest = rendered("helm4", "standalone")
    selectors = [each["spec"]["selector"] for each in objects(manifest) if each["kind"] == "Service"]
    assert len(selectors) == 2
    labels = {
        "proxy": one("Deployment", manifest)["spec"]["template"]["metadata"]["labels"],
        "test": one("Pod", manifest)["metadata"]["labels"],
        "measure": one("Job", manifest)["spec"]["template"]["metadata"]["labels"],
    }
    behind = {who for who, has in labels.items() if selectors[0].items() <= has.items()}
    assert behind == {"proxy"}
    assert all(one_ == other for one_, other in pairwise(selectors))


@pytest.mark.parametrize(("case", "told"), [("sidecar", "kubectl"), ("standalone", "helm test imaging")])
def test_the_notes_tell_the_next_command(case: str, told: str) -> None:
    # Helm 3 needs a cluster even for this.
    notes = run("helm4", "install", *RELEASE, CHART, "--dry-run=client", "--values", values_of(case))
    assert told in notes.partition("NOTES:")[2]


def test_nothing_names_a_registry() -> None:
    texts = [
        path.read_text("utf-8") for path in CHARTS.rglob("*") if path.suffix in (".yaml", ".tpl", ".json")
    ]
    assert len(texts) > 20
    for host in ("docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", os.sep + "work" + os.sep):
        assert not any(host in text for text in texts)


def test_tls_reaches_whoever_asks_the_pods() -> None:
    manifest = rendered("helm4", "tls")
    container = one("Deployment", manifest)["spec"]["template"]["spec"]["containers"][0]
    probes = [container[f"{name}Probe"]["httpGet"]["scheme"] for name in ("startup", "readiness", "liveness")]
    assert probes == ["HTTPS"] * 3
    endpoint = one("ServiceMonitor", manifest)["spec"]["endpoints"][0]
    assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", {"serverName": "imaging.example"})
    answers = one("Pod", manifest, "-test")["spec"]["containers"][1]
    assert answers["command"][-1].startswith("https://")
    clients = ("--set", "config.listen.tls.client_ca_file=/etc/ca.pem")
    assert [
        each["name"] for each in one("Pod", rendered("helm4", "tls", *clients), "-test")["spec"]["containers"]
    ] == ["configuration"]


def test_the_operator_s_token_is_taken_or_made() -> None:
    for more, name in (
        ((), "operator"),
        (("--set", "admin.secret=,admin.create=true"), "imaging-progressive-proxy-admin"),
    ):
        manifest = rendered("helm4", "tls", *more)
        config = yaml.safe_load(one("ConfigMap", manifest)["data"]["config.yaml"])
        folder = f"/etc/progressive-proxy/secrets/{name}"
        assert config["admin"] == {"token_file": f"{folder}/token"}
        spec = one("Deployment", manifest)["spec"]["template"]["spec"]
        mounts = {each["mountPath"]: each["name"] for each in spec["containers"][0]["volumeMounts"]}
        volumes = {each["name"]: each.get("secret", {}).get("secretName") for each in spec["volumes"]}
        assert volumes[mounts[folder]] == name
    made = one("Secret", manifest)
    assert made["metadata"]["name"] == "imaging-progressive-proxy-admin"
    assert len(b64decode(made["data"]["token"])) == 43
    done = tried(
        "helm4", "template", *RELEASE, CHART, "--values", values_of("tls"), "--set", "admin.create=true"
    )
    assert "admin: set secret, or create it, not both" in done.stderr


@pytest.mark.parametrize("helm", HELMS)
def test_a_disk_is_mounted_and_the_program_writes_there(helm: str) -> None:
    more = ("--set", "disk.volume.emptyDir.sizeLimit=12Gi", "--set", "config.cache.disk.bytes=10GiB")
    manifest = rendered(helm, "standalone", *more)
    pod = one("Deployment", manifest)["spec"]["template"]["spec"]
    disk = {"name": "progressive-proxy-disk", "emptyDir": {"sizeLimit": "12Gi"}}
    assert disk in pod["volumes"]
    place = {"name": disk["name"], "mountPath": "/var/cache/progressive-proxy"}
    assert place in pod["containers"][0]["volumeMounts"]
    (text,) = one("ConfigMap", manifest, "progressive-proxy")["data"].values()
    cache = yaml.safe_load(text)["cache"]
    assert cache["disk"] == {"path": "/var/cache/progressive-proxy/frames", "bytes": "10GiB"}
    assert cache["bytes"] == 1 << 30
    assert "progressive-proxy-disk" not in rendered(helm, "standalone")

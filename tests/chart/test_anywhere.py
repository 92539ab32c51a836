"""The values that fit the chart into any cluster reach all objects that they concern, and no others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, HELMS, Object, objects, one, rendered, values_of, viewer_chart
from tests.chart.tools import run, tried

MODES = ("sidecar", "standalone", "daemonset")
WORKLOAD = {"standalone": "Deployment", "daemonset": "DaemonSet"}
VOLUME = {"name": "authorities", "configMap": {"name": "authorities"}}
MOUNT = {"name": "authorities", "mountPath": "/etc/authorities", "readOnly": True}
HELPER = {"name": "shipper", "image": "shipper:1"}


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def given(**values: Any) -> tuple[str, ...]:
    """Options that set values; `a__b` is the key `a.b`."""
    return tuple(
        word
        for key, value in values.items()
        for word in ("--set-json", f"{key.replace('__', '.')}={json.dumps(value)}")
    )


def pods(manifest: str) -> Iterator[tuple[str, Object]]:
    """Each pod's kind of maker, and the pod with its metadata."""
    for each in objects(manifest):
        if each["kind"] == "Pod":
            yield "Pod", each
        elif "template" in each.get("spec", {}):
            yield each["kind"], each["spec"]["template"]


def kinds_of(mode: str) -> set[str]:
    return {"Pod", "Job"} | ({WORKLOAD[mode]} if mode in WORKLOAD else set())


def all_pods(helm: str, mode: str, **values: Any) -> dict[str, Object]:
    """The pods of all workloads of a mode."""
    made = dict(pods(rendered(helm, mode, *given(measure__enabled=True, **values))))
    assert set(made) == kinds_of(mode)
    return made


def containers(pod: Object) -> list[Object]:
    return list(pod["spec"]["containers"])


def proxy_of(pod: Object) -> Object:
    """The container of the proxy, or that of a pod that runs once."""
    return containers(pod)[0]


def refusal(mode: str, **values: Any) -> str:
    done = tried("helm4", "template", "x", CHART, "--values", values_of(mode), *given(**values))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_the_registry_and_its_logins_hold_for_every_pod(helm: str, mode: str) -> None:
    made = all_pods(
        helm,
        mode,
        **{
            "global": {
                "imageRegistry": "registry.example:5000/",
                "imagePullSecrets": ["all", {"name": "both"}],
            }
        },
        image__registry="other.example",
        imagePullSecrets=["own", {"name": "both"}],
        podSpec={"imagePullSecrets": [{"name": "old"}]},
    )
    for kind, pod in made.items():
        named = [each["name"] for each in pod["spec"]["imagePullSecrets"]]
        assert sorted(named) == ["all", "both", "old", "own"], kind
        assert {each["image"] for each in containers(pod)} == {
            "registry.example:5000/progressive-proxy:0.1.0"
        }, kind


@pytest.mark.parametrize("mode", MODES)
def test_without_a_global_registry_the_image_has_its_own(helm: str, mode: str) -> None:
    digest = "sha256:" + "0" * 64
    made = all_pods(helm, mode, image__registry="own.example", image__digest=digest)
    for pod in made.values():
        assert {each["image"] for each in containers(pod)} == {f"own.example/progressive-proxy@{digest}"}
        assert "imagePullSecrets" not in pod["spec"] or mode == "daemonset"


@pytest.mark.parametrize("mode", MODES)
def test_labels_and_annotations_reach_every_object_and_every_pod(helm: str, mode: str) -> None:
    values: dict[str, Any] = {
        "commonLabels": {"team": "imaging"},
        "annotations": {"example.com/owner": "me"},
        "podLabels": {"tier": "cache"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "measure__enabled": True,
        "monitoring__enabled": True,
        "dashboards__enabled": True,
        "admin": {"create": True, "secret": ""},
    }
    if mode != "sidecar":
        values |= {"ingress__enabled": True, "ingress__hosts": ["a.example"], "httpRoute__enabled": True}
        values |= {"httpRoute__parentRefs": [{"name": "web"}], "networkPolicy__viewers": [{"ipBlock": {}}]}
    manifest = rendered(helm, mode, *given(**values))
    for each in objects(manifest):
        at = f"{each['kind']} {each['metadata']['name']}"
        assert each["metadata"]["labels"]["team"] == "imaging", at
        assert each["metadata"]["annotations"]["example.com/owner"] == "me", at
    seen = dict(pods(manifest))
    assert set(seen) == kinds_of(mode)
    for kind, pod in seen.items():
        assert {"team": "imaging", "tier": "cache"}.items() <= pod["metadata"]["labels"].items(), kind
        assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false", kind
    selectors = [each["spec"]["selector"] for each in objects(manifest) if each["kind"] == "Service"]
    assert all("team" not in selector and "tier" not in selector for selector in selectors)
    assert "helm.sh/hook" in seen["Pod"]["metadata"]["annotations"]


@pytest.mark.parametrize("mode", MODES)
def test_names_and_the_namespace_can_be_others(helm: str, mode: str) -> None:
    values = {"fullnameOverride": "images", "namespaceOverride": "pictures"}
    more = {"measure__enabled": True, "monitoring__enabled": True, "dashboards__enabled": True}
    manifest = rendered(helm, mode, *given(**values, **more, admin={"create": True, "secret": ""}))
    for each in objects(manifest):
        assert each["metadata"]["name"].partition("-")[0] == "images"
        assert each["metadata"]["namespace"] == "pictures"
    assert "imaging-progressive-proxy" not in manifest
    for _, pod in pods(manifest):
        for volume in pod["spec"].get("volumes", []):
            assert "configMap" not in volume or volume["configMap"]["name"] == "images"
    rules = json.dumps(one("PrometheusRule", manifest))
    assert "namespace=" in rules
    assert '\\"imaging\\"' not in rules


@pytest.mark.parametrize("mode", ["standalone", "daemonset"])
def test_another_name_of_the_program_is_also_in_what_selects_pods(helm: str, mode: str) -> None:
    """`nameOverride` alone changes names, labels, selectors and the monitor together."""
    base = given(nameOverride="pixels", fullnameOverride="", monitoring__enabled=True)
    manifest = rendered(helm, mode, *base)
    workload = one(WORKLOAD[mode], manifest)
    assert workload["metadata"]["name"] == "imaging-pixels"
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for each in objects(manifest):
        if each["kind"] == "Service":
            assert each["spec"]["selector"].items() <= labels.items()
    wanted = one("ServiceMonitor", manifest)["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= one("Service", manifest, "-pods")["metadata"]["labels"].items()


@pytest.mark.parametrize("mode", MODES)
def test_volumes_mounts_and_variables_reach_every_pod(helm: str, mode: str) -> None:
    made = all_pods(
        helm,
        mode,
        extraVolumes=[VOLUME],
        extraVolumeMounts=[MOUNT],
        envFrom=[{"secretRef": {"name": "pacs"}}],
        env=[{"name": "SSL_CERT_FILE", "value": "/etc/authorities/ca.pem"}],
    )
    for kind, pod in made.items():
        assert VOLUME in pod["spec"]["volumes"], kind
        container = proxy_of(pod)
        assert MOUNT in container["volumeMounts"], kind
        assert container["envFrom"] == [{"secretRef": {"name": "pacs"}}], kind
        assert container["env"][-1]["name"] == "SSL_CERT_FILE", kind


def test_a_sidecar_brings_its_volumes_labels_and_annotations_to_the_viewer(helm: str, tmp_path: Path) -> None:
    chart = viewer_chart(tmp_path, helm)
    values = given(
        proxy__extraVolumes=[VOLUME],
        proxy__extraVolumeMounts=[MOUNT],
        proxy__podLabels={"tier": "cache"},
        proxy__podAnnotations={"a": "b"},
        proxy__securityContext={"runAsUser": 1000},
        **{"global": {"imageRegistry": "registry.example"}},
    )
    pod = one("Deployment", run(helm, "template", "x", chart, *values), "-viewer")["spec"]["template"]
    sidecar = pod["spec"]["initContainers"][0]
    assert VOLUME in pod["spec"]["volumes"]
    assert MOUNT in sidecar["volumeMounts"]
    assert sidecar["image"] == "registry.example/progressive-proxy:0.1.0"
    assert sidecar["securityContext"]["runAsUser"] == 1000
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["metadata"]["labels"]["tier"] == "cache"
    assert pod["metadata"]["annotations"]["a"] == "b"


@pytest.mark.parametrize("mode", ["standalone", "daemonset"])
def test_containers_are_added_to_the_proxy_s_pod_only(helm: str, mode: str) -> None:
    wait = HELPER | {"name": "wait"}
    made = all_pods(helm, mode, extraContainers=[HELPER], initContainers=[wait])
    for kind, pod in made.items():
        is_ours = kind == WORKLOAD[mode]
        assert (HELPER in containers(pod)) == is_ours
        assert (wait in pod["spec"].get("initContainers", [])) == is_ours
    assert proxy_of(made[WORKLOAD[mode]])["name"] == "progressive-proxy"


@pytest.mark.parametrize("mode", MODES)
def test_openshift_chooses_users_itself(helm: str, mode: str) -> None:
    values = {
        "securityContext": {"runAsUser": None, "runAsGroup": None},
        "podSecurityContext": {"fsGroup": 7},
    }
    made = all_pods(helm, mode, **values)
    for kind, pod in made.items():
        assert pod["spec"]["securityContext"] == {
            "fsGroup": 7,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, kind
        for container in containers(pod):
            security = container["securityContext"]
            assert not {"runAsUser", "runAsGroup"} & set(security), kind
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("mode", MODES)
def test_an_existing_config_map_takes_the_place_of_the_chart_s(helm: str, mode: str) -> None:
    manifest = rendered(helm, mode, *given(existingConfigMap="mine", measure__enabled=True))
    made = [each for each in objects(manifest) if "config.yaml" in each.get("data", {})]
    assert made == []
    mounted = {
        volume["configMap"]["name"]
        for kind, pod in pods(manifest)
        if kind != "Job"
        for volume in pod["spec"]["volumes"]
        if "configMap" in volume
    }
    assert mounted == {"mine"}


def test_an_existing_config_map_needs_no_origins_if_nothing_else_does(helm: str, tmp_path: Path) -> None:
    alone = given(mode="standalone", existingConfigMap="mine")
    assert run(helm, "template", "x", CHART, *alone, *given(networkPolicy__enabled=False))
    assert run(helm, "template", "x", CHART, *given(existingConfigMap="mine"))
    done = tried(helm, "template", "x", CHART, *alone)
    assert "config.origins: is missing; the NetworkPolicy needs" in done.stderr
    done = tried(helm, "template", "x", CHART, *given(existingConfigMap="mine", measure__enabled=True))
    assert "config.origins: is missing; measure needs an origin" in done.stderr


@pytest.mark.parametrize("config", [None, {}, {"origins": []}, {"cache": {"ttl": 60}}])
def test_missing_origins_are_named(helm: str, config: object) -> None:
    done = tried(helm, "template", "x", CHART, *(given(config=config) if config is not None else ()))
    assert done.returncode != 0
    assert "origins" in done.stderr


@pytest.mark.parametrize("mode", ["standalone", "daemonset"])
def test_the_numbers_of_probes_are_values(helm: str, mode: str) -> None:
    probes = {
        "startup": {"periodSeconds": 2, "timeoutSeconds": 3},
        "readiness": {"failureThreshold": 9},
        "liveness": {"initialDelaySeconds": 5},
    }
    container = proxy_of(all_pods(helm, mode, probes=probes, startupSeconds=77)[WORKLOAD[mode]])
    assert container["startupProbe"]["failureThreshold"] == 77
    for name, numbers in probes.items():
        probe = container[f"{name}Probe"]
        assert numbers.items() <= probe.items()
        assert probe["httpGet"]["port"] == "proxy-admin"
    assert container["livenessProbe"]["timeoutSeconds"] == 5
    more = {"startup": {"failureThreshold": 3}}
    container = proxy_of(all_pods(helm, mode, probes=more)[WORKLOAD[mode]])
    assert container["startupProbe"]["failureThreshold"] == 3


@pytest.mark.parametrize("mode", ["standalone", "daemonset"])
def test_the_service_is_as_its_values_say(helm: str, mode: str) -> None:
    service = {
        "type": "LoadBalancer",
        "port": 80,
        "annotations": {"a": "b"},
        "labels": {"c": "d"},
        "trafficDistribution": "PreferClose",
        "sessionAffinity": "ClientIP",
    }
    more = {"networkPolicy": {"viewers": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}
    values = {"service": service, "fullnameOverride": "", "revisionHistoryLimit": 3} | more
    manifest = rendered(helm, mode, *given(**values))
    made = one("Service", manifest, "-proxy")
    assert made["metadata"]["annotations"]["a"] == "b"
    assert made["metadata"]["labels"]["c"] == "d"
    for key in ("type", "trafficDistribution", "sessionAffinity"):
        assert made["spec"][key] == service[key]
    assert made["spec"]["ports"][0]["port"] == 80
    inside = one("Service", manifest, "-pods")
    assert inside["spec"]["clusterIP"] == "None"
    assert "type" not in inside["spec"]
    assert one(WORKLOAD[mode], manifest)["spec"]["revisionHistoryLimit"] == 3


def test_one_pod_on_each_node_serves_the_viewers_of_its_node(helm: str) -> None:
    manifest = rendered(helm, "daemonset")
    found = {each["kind"] for each in objects(manifest)}
    assert not {"Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"} & found
    workload = one("DaemonSet", manifest)["spec"]
    assert "replicas" not in workload
    assert "topologySpreadConstraints" not in workload["template"]["spec"]
    assert one("Service", manifest, "images")["spec"]["internalTrafficPolicy"] == "Local"
    standalone = rendered(helm, "standalone")
    assert all("internalTrafficPolicy" not in each.get("spec", {}) for each in objects(standalone))


def test_objects_of_one_s_own_are_rendered_as_templates(helm: str) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-mine"}}
    text = yaml.safe_dump(mine | {"kind": "Secret"})
    manifest = rendered(helm, "least", *given(extraObjects=[mine, text]))
    assert one("ConfigMap", manifest, "-mine")["metadata"]["name"] == "imaging-mine"
    assert one("Secret", manifest, "-mine")["metadata"]["name"] == "imaging-mine"


@pytest.mark.parametrize(
    ("mode", "values", "told"),
    [
        (
            "standalone",
            {"commonLabels": {"helm.sh/chart": "x"}},
            "commonLabels: helm.sh/chart is the chart's own",
        ),
        (
            "standalone",
            {"podLabels": {"app.kubernetes.io/component": "x"}},
            "podLabels: app.kubernetes.io/component is the chart's own",
        ),
        (
            "standalone",
            {"podLabels": {"progressive-proxy": "x"}},
            "podLabels: progressive-proxy is the chart's own",
        ),
        (
            "standalone",
            {"service__labels": {"app.kubernetes.io/name": "x"}},
            "service.labels: app.kubernetes.io/name is the chart's own",
        ),
        (
            "standalone",
            {"extraContainers": [{"name": "progressive-proxy"}]},
            "extraContainers: progressive-proxy is the chart's own",
        ),
        (
            "standalone",
            {"extraVolumes": [{"name": "progressive-proxy-config"}]},
            "extraVolumes: progressive-proxy-config is the chart's own",
        ),
        (
            "standalone",
            {"extraVolumeMounts": [{"name": "x", "mountPath": "/etc/progressive-proxy/config"}]},
            "extraVolumeMounts: /etc/progressive-proxy/config is the chart's own",
        ),
        ("sidecar", {"extraContainers": [HELPER]}, "extraContainers: has no effect in mode sidecar"),
        ("sidecar", {"initContainers": [HELPER]}, "initContainers: has no effect in mode sidecar"),
        ("sidecar", {"service__labels": {"a": "b"}}, "service.labels: has no effect in mode sidecar"),
        (
            "sidecar",
            {"service__trafficDistribution": "PreferClose"},
            "service.trafficDistribution: has no effect in mode sidecar",
        ),
        ("daemonset", {"autoscaling__enabled": True}, "autoscaling.enabled: has no effect in mode daemonset"),
        (
            "daemonset",
            {"networkPolicy__ingress": [{}]},
            "networkPolicy.ingress: has no effect in mode daemonset",
        ),
        ("standalone", {"service__type": "ExternalName"}, "type"),
        ("standalone", {"fullnameOverride": "Not a name"}, "fullnameOverride"),
    ],
)
def test_what_would_break_the_chart_s_own_or_have_no_effect_is_refused(
    mode: str, values: dict[str, Any], told: str
) -> None:
    assert told in refusal(mode, **values)

"""Every workload of both charts contains the proxy. No value silently replaces what the chart sets."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import (
    CASES,
    CHART,
    HELMS,
    Object,
    objects,
    rendered,
    values_of,
    viewer_chart,
)
from tests.chart.tools import run, tried

OWN = "progressive-proxy"
KIND: dict[str, set[str]] = {"sidecar": set(), "standalone": {"Deployment"}, "daemonset": {"DaemonSet"}}
HELPER = {"name": "log-shipper", "image": "shipper:1"}
SCRATCH = {"name": "scratch", "emptyDir": {}}
ZONE = "topology.kubernetes.io/zone"
PLACED = {
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "imaging", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "viewers",
    "runtimeClassName": "runc",
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.10"]},
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["pacs.example"]}],
}


def setting(key: str, value: object) -> tuple[str, str]:
    return "--set-json", f"{key}={json.dumps(value)}"


def pods(manifest: str) -> dict[str, Object]:
    """The spec of each pod, by the kind of the object that makes it."""
    made = {
        each["kind"]: each["spec"]
        for each in objects(manifest)
        if each["kind"] in ("Deployment", "DaemonSet", "Job", "Pod")
    }
    return {kind: spec["template"]["spec"] if "template" in spec else spec for kind, spec in made.items()}


def pod(**pod_spec: Any) -> Object:
    return pods(rendered("helm4", "standalone", *setting("podSpec", pod_spec)))["Deployment"]


def refusal(case: str, *more: str) -> str:
    done = tried("helm4", "template", "x", CHART, "--values", values_of(case), *more)
    assert done.returncode != 0
    return done.stderr


def names(entries: list[Object]) -> list[str]:
    return [each["name"] for each in entries]


def runs_the_proxy(spec: Object) -> bool:
    everything = [*spec.get("initContainers", []), *spec["containers"]]
    (container,) = [each for each in everything if each["image"].startswith(OWN)][:1] or [None]
    if container is None:
        return False
    mounted = {each["name"] for each in container.get("volumeMounts", [])}
    return mounted <= set(names(spec.get("volumes", [])))


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("mode", ["sidecar", "standalone", "daemonset"])
def test_every_workload_has_the_proxy_and_what_it_mounts(helm: str, mode: str, tmp_path: Path) -> None:
    ours = pods(rendered(helm, mode))
    assert set(ours) == {"Job", "Pod"} | KIND[mode]
    assert all(runs_the_proxy(spec) for spec in ours.values())
    manifest = run(helm, "template", "imaging", viewer_chart(tmp_path, helm), "--set", f"proxy.mode={mode}")
    kinds = {"Deployment", "DaemonSet"}
    deployments = [each["spec"]["template"]["spec"] for each in objects(manifest) if each["kind"] in kinds]
    assert sum(map(runs_the_proxy, deployments)) == 1
    assert any("viewer" in names(spec["containers"]) for spec in deployments)


def test_volumes_and_containers_of_podspec_are_added_to_the_chart_s() -> None:
    before, after = (
        pod(),
        pod(containers=[HELPER], volumes=[SCRATCH], initContainers=[HELPER | {"name": "wait"}]),
    )
    assert after["containers"] == [*before["containers"], HELPER]
    assert after["volumes"] == [*before["volumes"], SCRATCH]
    assert names(after["initContainers"]) == ["wait"]
    assert runs_the_proxy(after)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (
            "containers",
            [HELPER, {"name": OWN, "image": "x"}],
            f"podSpec.containers: {OWN} is the chart's own",
        ),
        (
            "volumes",
            [{"name": f"{OWN}-config", "emptyDir": {}}],
            f"podSpec.volumes: {OWN}-config is the chart's own",
        ),
        (
            "initContainers",
            [{"name": OWN, "image": "x"}],
            f"podSpec.initContainers: {OWN} is the chart's own",
        ),
        ("volumes", {"scratch": {}}, "podSpec.volumes: must be a list"),
        ("containers", "none", "podSpec.containers: must be a list"),
        ("securityContext", [1], "podSpec.securityContext: must be a mapping"),
        ("serviceAccountName", "x", "podSpec.serviceAccountName: set serviceAccount.name instead"),
        (
            "terminationGracePeriodSeconds",
            5,
            "podSpec.terminationGracePeriodSeconds: set config.listen.grace instead",
        ),
    ],
)
def test_what_would_replace_the_chart_s_own_is_refused_by_its_key(key: str, value: object, told: str) -> None:
    assert told in refusal("standalone", *setting(f"podSpec.{key}", value))


@pytest.mark.parametrize("key", ["containers", "volumes", "topologySpreadConstraints", "securityContext"])
def test_nothing_in_podspec_takes_the_chart_s_own_away(key: str) -> None:
    empty: object = {} if key == "securityContext" else []
    assert pod(**{key: empty})[key] == pod(**{key: None})[key] == pod()[key]


def test_each_list_and_map_that_the_chart_sets_is_joined() -> None:
    """Covers everything that the chart will set: no list gets shorter, and no map loses a key."""
    before = pod()
    for key, ours in before.items():
        if isinstance(ours, list):
            entry = {"name": "other", "topologyKey": "other"}
            assert pod(**{key: [entry]})[key] == [*ours, entry]
        elif isinstance(ours, dict):
            assert pod(**{key: {"other": 1}})[key] == ours | {"other": 1}


def test_single_values_of_podspec_go_before_the_chart_s_even_if_they_are_false() -> None:
    security = pod(securityContext={"runAsNonRoot": False, "fsGroup": 0})["securityContext"]
    assert security == {"runAsNonRoot": False, "fsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod(automountServiceAccountToken=True)["automountServiceAccountToken"] is True
    assert pod(enableServiceLinks=False)["enableServiceLinks"] is False


def test_a_spread_over_the_same_topology_goes_before_the_chart_s() -> None:
    wanted = {"topologyKey": ZONE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    spread = pod(topologySpreadConstraints=[wanted])["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", ZONE]
    assert spread[1] == wanted


@pytest.mark.parametrize("case", ["sidecar", "standalone"])
def test_where_pods_run_and_how_their_image_is_pulled_holds_for_every_pod(case: str) -> None:
    made = pods(rendered("helm4", case, *setting("podSpec", PLACED)))
    for kind, spec in made.items():
        assert PLACED.items() <= spec.items(), kind


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (setting("podSpec.volumes", [SCRATCH]), "podSpec.volumes: has no effect in mode sidecar"),
        (("--set", "autoscaling.enabled=true"), "autoscaling.enabled: has no effect in mode sidecar"),
        (("--set", "serviceAccount.name=x"), "serviceAccount.name: has no effect in mode sidecar"),
        (
            ("--set", "serviceAccount.annotations.a=b"),
            "serviceAccount.annotations: has no effect in mode sidecar",
        ),
        (("--set", "service.annotations.a=b"), "service.annotations: has no effect in mode sidecar"),
    ],
)
def test_values_that_a_sidecar_would_ignore_are_refused_by_name(more: tuple[str, ...], named: str) -> None:
    assert named in refusal("sidecar", *more)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (
            setting("monitoring.labels", {"app.kubernetes.io/name": "x"}),
            "monitoring.labels: app.kubernetes.io/name is",
        ),
        (setting("dashboards.labels", {"helm.sh/chart": "x"}), "dashboards.labels: helm.sh/chart is"),
        (
            ("--set", "serviceAccount.name=x,serviceAccount.annotations.a=b"),
            "serviceAccount.annotations: have no effect",
        ),
        (
            setting("env", [{"name": "PROGRESSIVE_PROXY_LISTEN__ADMIN", "value": "x"}]),
            "set config.listen instead",
        ),
    ],
)
def test_values_that_the_chart_s_own_would_overrule_or_miss_are_refused(
    more: tuple[str, ...], named: str
) -> None:
    assert named in refusal("standalone", *more)


def test_a_sidecar_in_mode_standalone_is_refused(tmp_path: Path) -> None:
    """The sidecar's pod would have the labels with which the Service selects the proxy's own pods."""
    chart = viewer_chart(tmp_path, "helm4")
    template = chart / "templates" / "viewer.yaml"
    template.write_text(
        re.sub(r"eq .Values.proxy.mode \"sidecar\"", "true", template.read_text("utf-8")), "utf-8"
    )
    done = tried("helm4", "template", "x", chart, "--set", "proxy.mode=standalone")
    assert done.returncode != 0
    assert "progressive-proxy.sidecar is for mode sidecar" in done.stderr


@pytest.mark.parametrize("case", CASES)
def test_no_name_stands_twice_in_a_list(case: str) -> None:
    for spec in pods(rendered("helm4", case)).values():
        for entries in (spec["containers"], spec.get("volumes", []), spec["containers"][0].get("env", [])):
            assert len(set(names(entries))) == len(entries)

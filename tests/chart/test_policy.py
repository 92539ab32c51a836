"""The NetworkPolicy admits exactly what the values say, in both modes. Policies are additive."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import CHART, HELMS, Object, objects, one, rendered, values_of, viewer_chart
from tests.chart.tools import run, tried

ANYWHERE = [{"ports": [{"port": 8000}]}]
INGRESS_NGINX = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
MONITORING = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def setting(**policy: Any) -> tuple[str, ...]:
    return tuple(
        word
        for key, value in policy.items()
        for word in ("--set-json", f"networkPolicy.{key}={json.dumps(value)}")
    )


def policies(case: str, **policy: Any) -> list[Object]:
    made = objects(rendered("helm4", case, *setting(**policy)))
    return [each["spec"] for each in made if each["kind"] == "NetworkPolicy"]


def refusal(case: str, **policy: Any) -> str:

    done = tried("helm4", "template", "x", CHART, "--values", values_of(case), *setting(**policy))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("helm", HELMS)
def test_a_sidecar_s_policy_is_none_by_default(helm: str, tmp_path: Path) -> None:
    viewer = run(helm, "template", "imaging", viewer_chart(tmp_path, helm))
    for manifest in (rendered(helm, "sidecar"), viewer):
        assert [each for each in objects(manifest) if each["kind"] == "NetworkPolicy"] == []


@pytest.mark.parametrize(
    "rules",
    [ANYWHERE, [{"from": [INGRESS_NGINX], "ports": [{"port": "http"}, {"port": 8000, "endPort": 8080}]}]],
)
def test_a_sidecar_s_policy_has_the_viewer_s_own_rules_and_the_admin_port_s(rules: list[Any]) -> None:
    (spec,) = policies("sidecar", ingress=rules)
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"from": MONITORING, "ports": [{"port": 8081}]}, *rules]
    assert policies("sidecar", ingress=rules, metrics=[]) == [{**spec, "ingress": rules}]
    assert policies("sidecar", ingress=rules, enabled=False) == []


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({}, "ingress[0].ports: is missing"),
        ({"from": [INGRESS_NGINX]}, "ingress[0].ports: is missing"),
        ({"ports": []}, "ingress[0].ports: is missing"),
        ({"ports": [{"protocol": "TCP"}]}, "ingress[0].ports: a port is missing"),
        ({"ports": [{"port": 8081}]}, "8081 is the proxy's admin port"),
        ({"ports": [{"port": 8000}, {"port": 1, "endPort": 65535}]}, "8081 is the proxy's admin port"),
        ({"ports": [{"port": "proxy-admin"}]}, "proxy-admin is the proxy's"),
        ({"from": [], "ports": [{"port": 8000}]}, "ingress[0].from: is empty"),
    ],
)
def test_a_viewer_s_rule_that_opens_more_than_the_viewer_s_ports_is_refused(rule: Object, named: str) -> None:
    assert named in refusal("sidecar", ingress=[rule])


def test_a_viewer_s_rule_that_opens_another_admin_port_is_refused() -> None:
    other = ("--set", "config.listen.admin=0.0.0.0:9001")
    assert one("NetworkPolicy", rendered("helm4", "sidecar", *setting(ingress=ANYWHERE), *other))
    with pytest.raises(AssertionError, match="9001 is the proxy's admin port"):
        rendered("helm4", "sidecar", *setting(ingress=[{"ports": [{"port": 9000, "endPort": 9002}]}]), *other)


def test_a_policy_that_could_only_open_or_close_the_viewer_is_refused() -> None:
    assert "networkPolicy.ingress" in refusal("sidecar", enabled=True)


@pytest.mark.parametrize(
    ("case", "values"),
    [
        ("sidecar", {"viewers": [INGRESS_NGINX]}),
        ("sidecar", {"origins": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}),
        ("standalone", {"ingress": ANYWHERE}),
    ],
)
def test_rules_that_would_have_no_effect_are_refused_by_name(case: str, values: dict[str, Any]) -> None:
    assert f"networkPolicy.{next(iter(values))}: has no effect in mode {case}" in refusal(case, **values)


def test_an_empty_list_lets_nobody_in() -> None:
    """A rule with an empty `from` would admit everybody."""
    admin, viewers = ({"from": [INGRESS_NGINX], "ports": [{"port": port}]} for port in (8081, 8080))
    for metrics, asking, rules in (
        ([], [INGRESS_NGINX], [viewers]),
        ([INGRESS_NGINX], [], [admin]),
        ([], [], None),
    ):
        (spec,) = policies("standalone", metrics=metrics, viewers=asking)
        assert spec["ingress"] == rules
        assert spec["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("case", ["least", "sidecar", "standalone"])
def test_no_rule_of_ours_is_for_every_source_or_every_port(case: str) -> None:
    for spec in policies(case):
        assert all(rule.get("from") and rule.get("ports") for rule in spec["ingress"])
        assert all("endPort" not in port for rule in spec["ingress"] for port in rule["ports"])


S3 = {"url": "s3://frames"}
LEAVING = {
    "no tier": ({}, []),
    "a server": ({"shared": {"url": "valkeys://cache:7000/2"}}, [7000]),
    "a server at its usual port": ({"shared": {"url": "redis://cache"}}, [6379]),
    "Sentinels and the servers behind them": (
        {"shared": {"url": "valkey+sentinel://a,b:7001/main"}},
        [26379, 7001, 6379],
    ),
    "a cluster": ({"shared": {"url": "valkey+cluster://a:7000,b:7001"}}, [7000, 7001]),
    "a socket": ({"shared": {"url": "unix:///run/valkey.sock"}}, []),
    "an object store at AWS": ({"objects": S3}, [443]),
    "an object store of one's own": ({"objects": S3 | {"endpoint": "http://minio:9000"}}, [9000]),
}


@pytest.mark.parametrize(("cache", "ports"), LEAVING.values(), ids=LEAVING)
def test_the_proxy_reaches_the_origins_and_the_tiers_that_it_has(cache: Object, ports: list[int]) -> None:
    config = {"origins": [{"name": "pacs", "url": "http://pacs:8042/dicom-web"}], "cache": cache}
    made = objects(rendered("helm4", "standalone", "--set-json", f"config={json.dumps(config)}"))
    (spec,) = (each["spec"] for each in made if each["kind"] == "NetworkPolicy")
    leaving = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    assert leaving == {53, 8042, *ports}

"""The CronJob that makes the proxy fetch studies before anybody asks."""

from typing import Any

import pytest
import yaml

from proxy.cli import main
from tests.chart.rendering import CHART, HELMS, Object, objects, one, rendered, values_of
from tests.chart.test_anywhere import given
from tests.chart.tools import tried

WARM = {"name": "worklist", "origin": "pacs", "search": {"StudyDate": "today-2.."}}
PACS = {"name": "pacs", "url": "http://pacs.example/dicom-web", "default": True}
VALUES: dict[str, Any] = {
    "warm__enabled": True,
    "admin__create": True,
    "config": {"origins": [PACS], "warm": [WARM]},
    "measure__enabled": False,
}


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cron_job(helm: str, **more: Any) -> Object:
    return one("CronJob", rendered(helm, "least", *given(**VALUES | more)))


def pod_of(job: Object) -> Object:
    return dict(job["spec"]["jobTemplate"]["spec"]["template"])


def test_it_asks_the_admin_listener_with_the_operators_token(helm: str) -> None:
    times = {"warm__schedule": "30 4 * * 1-5", "warm__timeZone": "Europe/Berlin"}
    job = cron_job(helm, **times, warm__names=["worklist"])
    assert (job["spec"]["schedule"], job["spec"]["timeZone"]) == ("30 4 * * 1-5", "Europe/Berlin")
    [container] = pod_of(job)["spec"]["containers"]
    name = "imaging-progressive-proxy"
    token = f"/etc/progressive-proxy/secrets/{name}-admin"
    assert container["args"] == [
        "warm", "worklist", "--admin", f"http://{name}-pods:8081", "--token-file", f"{token}/token"
    ]  # fmt: skip
    assert container["volumeMounts"][0]["mountPath"] == token
    [volume] = pod_of(job)["spec"]["volumes"]
    assert volume["secret"]["secretName"] == f"{name}-admin"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_its_arguments_are_the_commands(helm: str, capsys: pytest.CaptureFixture[str]) -> None:
    [container] = pod_of(cron_job(helm))["spec"]["containers"]
    with pytest.raises(SystemExit):
        main(["warm", "--help"])
    said = capsys.readouterr().out
    assert all(argument in said for argument in container["args"] if argument.startswith("--"))


def test_the_policy_lets_it_reach_the_admin_port_and_it_is_behind_no_service(helm: str) -> None:
    policy = {"networkPolicy__enabled": True}
    manifest = rendered(helm, "least", *given(**VALUES | policy))
    labels = pod_of(one("CronJob", manifest))["metadata"]["labels"]
    rules = one("NetworkPolicy", manifest)["spec"]["ingress"]
    let_in = [
        rule["ports"]
        for rule in rules
        for peer in rule["from"]
        if (selector := peer.get("podSelector", {}).get("matchLabels")) and selector.items() <= labels.items()
    ]
    assert let_in == [[{"port": 8081}]]
    for each in objects(manifest):
        if each["kind"] == "Service":
            assert not each["spec"]["selector"].items() <= labels.items()
    without = one("NetworkPolicy", rendered(helm, "least", *given(**policy)))["spec"]["ingress"]
    assert len(rules) == len(without) + 1


def test_the_proxy_knows_the_name_by_which_it_is_asked() -> None:
    origin = PACS | {"credentials": {"bearer_file": "/etc/progressive-proxy/secrets/t/token"}}
    more = {"config": {"origins": [origin], "warm": [WARM]}}
    manifest = rendered("helm4", "least", *given(**VALUES | more))
    held = yaml.safe_load(one("ConfigMap", manifest)["data"]["config.yaml"])
    assert "imaging-progressive-proxy-pods" in held["listen"]["hosts"]


SECRETS = "/etc/progressive-proxy/secrets"
FILES = {"certificate_file": f"{SECRETS}/proxy-tls/tls.crt", "key_file": f"{SECRETS}/proxy-tls/tls.key"}


@pytest.mark.parametrize(
    ("file", "trusted", "items"),
    [
        ("", "authorities/ca.crt", {"secretName": "proxy-tls", "key": "ca.crt"}),
        (
            f"{SECRETS}/hospital/root.pem",
            "authorities/root.pem",
            {"secretName": "hospital", "key": "root.pem"},
        ),
        ("/etc/ssl/hospital.pem", "/etc/ssl/hospital.pem", None),
    ],
)
def test_it_trusts_the_authorities_of_the_certificate_and_gets_no_key(
    helm: str, file: str, trusted: str, items: dict[str, str] | None
) -> None:
    config = {"listen": {"tls": FILES}, "origins": [PACS], "warm": [WARM]}
    pod = pod_of(cron_job(helm, config=config, secrets=["proxy-tls"], warm__caFile=file))["spec"]
    [container] = pod["containers"]
    arguments = dict(zip(container["args"][1::2], container["args"][2::2], strict=True))
    assert arguments["--admin"].startswith("https://imaging-progressive-proxy-pods:")
    assert arguments["--ca-file"].removeprefix("/etc/progressive-proxy/") == trusted
    mounted = [each["name"] for each in container["volumeMounts"]]
    volumes = [each["secret"] for each in pod["volumes"] if each["name"] == "progressive-proxy-authorities"]
    held = [{"secretName": each["secretName"], "key": each["items"][0]["key"]} for each in volumes]
    assert held == ([items] if items else [])
    assert mounted == [each["name"] for each in pod["volumes"]]
    assert all(len(each["items"]) == 1 for each in volumes)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no token": ("least", {"admin__create": False}, "warm.enabled: needs the operator's token"),
    "nothing to warm": ("least", {"config": {"origins": [PACS]}}, "warm.enabled: config.warm is missing"),
    "authorities for http": ("least", {"warm__caFile": "/a.pem"}, "warm.caFile: has no effect without"),
    "sidecar": ("sidecar", {}, "warm.enabled: has no effect in mode sidecar"),
    "daemonset": ("daemonset", {}, "warm.enabled: has no effect in mode daemonset"),
    "a search that is none": ("least", {"config": {"origins": [PACS], "warm": [{"name": "a"}]}}, "search"),
}


@pytest.mark.parametrize(("case", "more", "words"), REFUSED.values(), ids=REFUSED)
def test_values_that_can_not_work_are_refused(case: str, more: dict[str, Any], words: str) -> None:
    values = given(**VALUES | more)
    done = tried("helm4", "template", "x", CHART, "--values", values_of(case), *values)
    assert done.returncode != 0
    assert words in done.stderr

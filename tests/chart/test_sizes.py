"""Memory limits follow from the configuration. A cache that does not fit, and unknown units, are refused."""

import json
from typing import Any

import pytest

from proxy.service import memory
from proxy.settings.model import Settings
from tests.chart.rendering import CHART, HELMS, objects, rendered, values_of
from tests.chart.test_anywhere import given, kinds_of, pods, proxy_of
from tests.chart.tools import tried

MIB = memory.MIB
ORIGIN: dict[str, Any] = {"name": "pacs", "url": "http://pacs"}
HT = {"alternates": {"ht": {"path": "/htj2k/"}}}


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def limit_of(helm: str, config: dict[str, Any]) -> int:
    """Mebibytes of the limit that the chart gives a configuration."""
    found = set()
    manifest = rendered(helm, "least", *given(config={"origins": [ORIGIN]} | config, measure__enabled=True))
    for kind, pod in pods(manifest):
        if kind != "Pod":
            resources = proxy_of(pod)["resources"]
            assert set(resources["limits"]) == {"memory"}, "a limit of CPU holds first pictures back"
            assert resources["requests"]["cpu"] == "250m"
            limit = int(resources["limits"]["memory"].removesuffix("Mi"))
            assert resources["requests"]["memory"] == f"{3 * limit // 4}Mi"
            found.add(limit)
    (only,) = found
    return only


@pytest.mark.parametrize(
    ("config", "mebibytes"),
    [
        ({}, 2048),
        ({"cache": {"bytes": "auto"}}, 2048),
        ({"cache": {"bytes": "1GiB"}}, 192 + 1205),
        ({"cache": {"bytes": 1073741824}}, 192 + 1205),
        ({"cache": {"bytes": "64 MiB"}}, 192 + 76),
        ({"cache": {"bytes": "1GiB"}, **HT}, 192 + 1205 + 512),
        ({"cache": {"bytes": "1GiB"}, **HT, "workers": {"number": 5}}, 192 + 1205 + 5 * 256),
        ({"cache": {"bytes": "1GiB"}, "workers": {"number": 5}}, 192 + 1205),
        ({"cache": {"bytes": "1GiB"}, "origins": [ORIGIN | {"rendered": "proxy"}]}, 192 + 1205 + 512),
        ({"cache": {"bytes": "1GiB"}, "bounds": {"connections": 10240}}, 192 + 1205 + 100),
    ],
)
def test_the_limit_is_the_sum_that_the_values_write_out(
    helm: str, config: dict[str, Any], mebibytes: int
) -> None:
    assert limit_of(helm, config) == mebibytes


@pytest.mark.parametrize("config", [{}, HT, {"origins": [ORIGIN | {"rendered": "if-missing"}]}])
@pytest.mark.parametrize("size", ["1MiB", "300MiB", "7GiB", "999999999"])
def test_the_program_finds_that_its_cache_fits(config: dict[str, Any], size: str) -> None:
    whole = {"origins": [ORIGIN], "cache": {"bytes": size}} | config
    settings = Settings.model_validate(whole)
    assert memory.warning(settings, limit_of("helm4", whole) * MIB) is None


def refused(helm: str, **values: Any) -> str:
    done = tried(helm, "template", "x", CHART, "--values", values_of("least"), *given(**values))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    ("cache", "limit", "needed"),
    [("4GiB", "2Gi", "5011Mi"), (4294967296, "4294967296", "5011Mi"), ("2GiB", "2G", "2602Mi")],
)
def test_a_cache_that_does_not_fit_the_limit_is_refused(
    helm: str, cache: object, limit: str, needed: str
) -> None:
    words = refused(helm, config__cache__bytes=cache, resources={"limits": {"memory": limit}})
    assert f"needs a memory limit of {needed}, and resources.limits.memory is {limit}" in words
    assert "config.cache.bytes" in words


@pytest.mark.parametrize(
    ("limit", "fits"),
    [("1397Mi", True), ("1396Mi", False), ("1.5Gi", True), ("2e9", True), ("1e9", False), (1464860672, True)],
)
def test_a_cache_that_just_fits_is_taken(helm: str, limit: object, fits: bool) -> None:
    values = given(config__cache__bytes="1GiB", resources={"limits": {"memory": limit}})
    done = tried(helm, "template", "x", CHART, "--values", values_of("least"), *values)
    assert (done.returncode == 0) is fits, done.stderr


@pytest.mark.parametrize("size", ["4Gi", "4gib", "4G", "four", "4 GiBs", "", "-1", "1.5GiB", "4K", "1e9"])
def test_a_unit_of_the_cache_that_does_not_exist_is_refused(helm: str, size: str) -> None:
    words = refused(helm, config__cache__bytes=size)
    assert f"config.cache.bytes: {size} is no number of bytes; write one such as 512MiB or 4GiB" in words


@pytest.mark.parametrize(
    ("where", "size"),
    [
        ("limits.memory", "2GiB"),
        ("limits.memory", "2 Gi"),
        ("requests.memory", "2MB"),
        ("requests.cpu", "half"),
        ("limits.memory", "-2Gi"),
        ("limits.ephemeral-storage", "1gb"),
    ],
)
def test_a_unit_of_kubernetes_that_does_not_exist_is_refused(helm: str, where: str, size: str) -> None:
    kind, name = where.split(".")
    words = refused(helm, resources={kind: {name: size}})
    assert f"resources.{where}: {size} is no quantity of Kubernetes; write one such as" in words


@pytest.mark.parametrize("amount", ["100m", "1", "0.5", "1Ki", "5M", "6E", "1e3", "12E2", ".5Gi", 2, 1.5])
def test_every_quantity_of_kubernetes_is_taken(helm: str, amount: object) -> None:
    values = given(resources={"requests": {"cpu": amount, "memory": amount}})
    manifest = rendered(helm, "least", *values)
    requests = [
        container["resources"]["requests"]
        for each in objects(manifest)
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    assert json.loads(json.dumps(requests)) == [{"cpu": amount, "memory": amount}]


@pytest.mark.parametrize("key", ["limits__frame_bytes", "limits__metadata_bytes"])
def test_units_of_other_sizes_are_refused_by_their_place(helm: str, key: str) -> None:
    section, name = key.split("__")
    words = refused(helm, config__origins=[ORIGIN | {section: {name: "4Gi"}}])
    assert name in words
    assert "4Gi" in words or "pattern" in words.lower()


def test_all_faults_are_named_at_once() -> None:
    words = refused("helm4", config__cache__bytes="4Gi", resources={"limits": {"memory": "2GiB"}})
    assert "config.cache.bytes" in words
    assert "resources.limits.memory" in words


@pytest.mark.parametrize("mode", ["sidecar", "standalone", "daemonset"])
def test_resources_that_are_given_replace_the_chart_s(helm: str, mode: str) -> None:
    wanted = {"requests": {"memory": "6Gi"}, "limits": {"memory": "6Gi", "cpu": "4"}}
    seen = dict(pods(rendered(helm, mode, *given(resources=wanted, measure__enabled=True))))
    assert set(seen) == kinds_of(mode)
    for kind in kinds_of(mode) - {"Pod"}:
        assert proxy_of(seen[kind])["resources"] == wanted

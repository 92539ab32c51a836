"""The proxy in a viewer's pod: as a dependency of its chart, pasted into it, and behind its nginx."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.chart.pods import until
from tests.chart.rendering import CHART, HELMS, RELEASE, Object, objects, one, viewer_chart
from tests.chart.test_render import VERSIONS
from tests.chart.tools import kubernetes_takes, run, tool
from tests.ports import free_port

PASTE = CHART / "examples" / "paste"
VIEWERS_PORT = '[{"ports": [{"port": 8000}]}]'
STANDALONE = ("--set", "proxy.mode=standalone")
PODS = "imaging-progressive-proxy-pods.imaging.svc.cluster.local:8080"


@pytest.fixture(scope="module", params=HELMS)
def viewer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A helm version, and the viewer's chart with its dependency."""
    helm = str(request.param)
    return helm, viewer_chart(tmp_path_factory.mktemp(helm), helm)


def pod_of(manifest: str, suffix: str = "-viewer") -> Object:
    return dict(one("Deployment", manifest, suffix)["spec"]["template"])


def test_a_viewer_s_chart_has_it_as_a_native_sidecar(viewer: tuple[str, Path]) -> None:
    helm, chart = viewer
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", chart)
    more = (
        "--set",
        "proxy.monitoring.enabled=true",
        "--set-json",
        f"proxy.networkPolicy.ingress={VIEWERS_PORT}",
    )
    manifest = run(helm, "template", *RELEASE, chart, *more)
    pod = pod_of(manifest)
    sidecar = pod["spec"]["initContainers"][0]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"] == {"path": "/livez", "port": "proxy-admin"}
    assert sidecar["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "proxy-admin"}
    mounted = {each["name"] for each in sidecar["volumeMounts"]}
    assert mounted <= {each["name"] for each in pod["spec"]["volumes"]}
    config = yaml.safe_load(one("ConfigMap", manifest, "-proxy")["data"]["config.yaml"])
    assert config["listen"]["viewers"].startswith("127.0.0.1:")
    assert pod["spec"]["terminationGracePeriodSeconds"] > config["listen"]["grace"]
    for kind, key in (("PodMonitor", "selector"), ("NetworkPolicy", "podSelector")):
        wanted = one(kind, manifest)["spec"][key]["matchLabels"]
        assert wanted.items() <= pod["metadata"]["labels"].items()
    ours = [each for each in objects(manifest) if "monitoring" not in each["apiVersion"]]
    kubernetes_takes(ours, VERSIONS[0], VERSIONS[-1])


def test_a_change_of_profiles_does_not_roll_the_viewer(viewer: tuple[str, Path]) -> None:
    helm, chart = viewer
    first, profiles, cache = (
        pod_of(run(helm, "template", *RELEASE, chart, *more))
        for more in ((), ("--set", "proxy.config.profile=single"), ("--set", "proxy.config.cache.bytes=2GiB"))
    )
    assert first == profiles != cache


def test_the_block_to_paste_is_the_chart_s_own(viewer: tuple[str, Path]) -> None:
    helm, chart = viewer
    ours = pod_of(run(helm, "template", *RELEASE, chart))["spec"]
    pasted = pod_of(run("kubectl", "kustomize", PASTE), "viewer")
    assert pasted["spec"]["initContainers"] == ours["initContainers"]
    assert pasted["spec"]["terminationGracePeriodSeconds"] == ours["terminationGracePeriodSeconds"]
    mounts = pasted["spec"]["initContainers"][0]["volumeMounts"]
    assert [each["name"] for each in pasted["spec"]["volumes"]] == [each["name"] for each in mounts]
    assert [each["name"] for each in pasted["spec"]["containers"]] == ["viewer"]


def test_the_block_to_paste_is_taken_by_every_kubernetes_and_the_program(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    manifest = run("kubectl", "kustomize", PASTE)
    kubernetes_takes(objects(manifest), *VERSIONS)
    config.write_text(one("ConfigMap", manifest)["data"]["config.yaml"], "utf-8")
    assert "is valid" in run("progressive-proxy", "check", "--no-files", config)


@contextmanager
def nginx(folder: Path, configuration: str) -> Iterator[str]:
    """Runs nginx with a viewer's configuration and yields its base URL."""
    port = free_port()
    configuration = configuration.replace("listen 8000;", f"listen 127.0.0.1:{port};")
    text = "\n".join(
        (
            "daemon off; pid nginx.pid; error_log stderr;",
            "events {}",
            "http { access_log off; client_body_temp_path tmp; proxy_temp_path tmp;",
            "fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;",  # the usual ones are root's
            configuration,
            "}",
        )
    )
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(text, "utf-8")
    command = [tool("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}"))
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=240).status_code > 0
    except httpx.TransportError:
        return False


def told(name: str, port: int) -> str:
    """The configuration of a pod that returns its own name and the request."""
    return f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{name} $request_uri'; }} }}"


def by_nginx(viewer: tuple[str, Path], *more: str) -> str:
    helm, chart = viewer
    manifest = run(helm, "template", *RELEASE, chart, *more)
    return str(one("ConfigMap", manifest, "-viewer")["data"]["default.conf"])


def test_the_viewer_s_nginx_asks_the_sidecar(viewer: tuple[str, Path], tmp_path: Path) -> None:
    port = free_port()
    configuration = by_nginx(viewer).replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    with nginx(tmp_path, configuration + told("sidecar", port)) as url:
        assert (
            httpx.get(f"{url}/studies/1.2/series?x=1", timeout=240).text == "sidecar /studies/1.2/series?x=1"
        )


def test_the_viewer_s_nginx_shares_studies_out_to_pods(viewer: tuple[str, Path], tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    configuration = by_nginx(viewer, *STANDALONE)
    assert f"server {PODS} resolve;" in configuration
    # Debian's nginx does not know `resolve`, and no DNS server lists the pods. So the test lists them.
    configuration = re.sub(r"resolver .*\n", "", configuration)
    studies = [f"1.2.{number}" for number in range(60)]
    with ExitStack() as stack:
        before, after = (
            stack.enter_context(nginx(tmp_path / str(len(pods)), _balanced(configuration, pods)))
            for pods in (ports, ports[:2])
        )
        first, second = _pods(before, studies), _pods(after, studies)
    assert all(len(pods) == 1 for pods in first.values())
    assert {pod for pods in first.values() for pod in pods} == {"0", "1", "2"}
    stayed = [study for study in studies if first[study] <= {"0", "1"}]
    assert all(second[study] == first[study] for study in stayed)


def _balanced(configuration: str, ports: list[int]) -> str:
    pods = "".join(f"server 127.0.0.1:{port};" for port in ports)
    servers = "".join(told(str(number), port) for number, port in enumerate(ports)) if len(ports) == 3 else ""
    return configuration.replace(f"server {PODS} resolve;", pods) + servers


def _pods(url: str, studies: list[str]) -> dict[str, set[str]]:
    """By study, the pods that answered requests for it."""
    rest = ("series/1/instances/1/frames/1", "series/2/instances/7/frames/3", "metadata")
    with httpx.Client(timeout=240) as client:
        return {
            study: {client.get(f"{url}/studies/{study}/{each}").text.partition(" ")[0] for each in rest}
            for study in studies
        }

"""A pod, the helm test and the Job, run with the commands that the chart renders, with a real origin."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_htj2k
from proxy.commands.processes import Children, address, listen
from proxy.demo.origin import run as run_origin
from tests.chart.pods import Pod, standalone, until
from tests.chart.rendering import one
from tests.ports import free_port
from tests.small_tree import SmallInstance, small_instances


def sized() -> list[SmallInstance]:
    """Small images whose metadata has their size."""
    instances = small_instances()
    for each in instances:
        each.dataset.Rows, each.dataset.Columns = each.pixels[0].shape[:2]
    return instances


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    folder = tmp_path_factory.mktemp("pod")
    prepare(folder / "tree", "small", sized, encode_htj2k, io.StringIO())
    with Children() as children:
        with listen() as listener:
            children.start("origin", run_origin, listener, str(folder / "tree"))
            host, port = address(listener)
        with standalone(folder, f"http://{host}:{port}", (free_port(), free_port())) as running:
            yield running


def status_of(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_the_probes_of_a_pod_that_is_ready_are_answered(pod: Pod) -> None:
    container = one("Deployment", pod.manifest)["spec"]["template"]["spec"]["containers"][0]
    probes = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert probes == ["/livez", "/readyz", "/livez"]
    assert [httpx.get(pod.admin + path, timeout=240).status_code for path in probes] == [200, 200, 200]


@pytest.mark.parametrize(("ready", "status"), [("started", 200), ("any-origin", 503), ("each-origin", 503)])
def test_no_start_of_a_pod_waits_for_an_origin(ready: str, status: int, tmp_path: Path) -> None:
    with standalone(
        tmp_path, f"http://127.0.0.1:{free_port()}", (free_port(), free_port()), ready=ready
    ) as pod:
        container = one("Deployment", pod.manifest)["spec"]["template"]["spec"]["containers"][0]
        for probe, expected in (("startup", 200), ("liveness", 200), ("readiness", status)):
            path = container[f"{probe}Probe"]["httpGet"]["path"]
            assert httpx.get(pod.admin + path, timeout=240).status_code == expected, probe


def test_the_helm_test_passes_and_says_what_fails(pod: Pod) -> None:
    configuration, answers = one("Pod", pod.manifest)["spec"]["containers"]
    assert (configuration["name"], answers["name"]) == ("configuration", "answers")
    checked, asked = status_of(pod.command(configuration)), status_of(pod.command(answers))
    assert (checked.returncode, "is valid" in checked.stdout) == (0, True)
    assert (asked.returncode, asked.stderr) == (0, "")
    nobody = [word.replace(pod.viewers, f"http://127.0.0.1:{free_port()}") for word in pod.command(answers)]
    assert status_of(nobody).returncode != 0


def test_measure_is_of_use_as_a_job(pod: Pod) -> None:
    container = one("Job", pod.manifest)["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][2:4] == ["--through", f"{pod.service}/origin"]
    measured = status_of(pod.command(container))
    assert (measured.returncode, measured.stderr) == (0, "")
    assert "proxy hot" in measured.stdout


def test_what_goes_before_the_end_of_a_pod_can_be_run_without_a_shell(pod: Pod) -> None:
    container = one("Deployment", pod.manifest)["spec"]["template"]["spec"]["containers"][0]
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    quick = [word.replace("sleep(5)", "sleep(0)") for word in pod.command({"command": command})]
    assert status_of(quick).returncode == 0


def test_profiles_in_the_configmap_change_without_a_restart(pod: Pod) -> None:
    good = 'reloads_total{result="good"}'
    before = pod.metric(good) or 0
    pod.upgraded(profiles={"mine": {"first": "128KiB"}}, profile="mine")
    until(lambda: pod.metric(good) == before + 1)
    frame = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1/frames/1"
    assert httpx.get(pod.viewers + frame, headers={"accept": "image/jphc"}, timeout=240).status_code == 200
    counted = 'first_delivery_seconds_count{cache="miss",profile="mine"}'
    until(lambda: pod.metric(counted) == 1)  # a response counts a moment after its last byte
    assert pod.metric('frame_answers_total{cache="miss",status="200"}') is not None
    pod.config.write({"config.yaml": "origins: ["})
    until(lambda: pod.metric("configuration_is_good") == 0)
    pod.upgraded()
    until(lambda: pod.metric("configuration_is_good") == 1)
    assert pod.process.poll() is None

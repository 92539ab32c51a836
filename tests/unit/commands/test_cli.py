"""The commands as a person runs them: processes, exit statuses, output, and no process left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from proxy.measure.opening import OPEN
from proxy.measure.plans import PLANS
from proxy.measure.run import JLS_WHOLE
from proxy.measure.series import Kind
from proxy.measure.two_step import CUT, JLS_MADE, JLS_REDUCED
from proxy.measure.viewer import WAYS
from tests.ports import free_port

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).parent / "progressive-proxy"
PATIENCE = 240
"""Seconds that a process may take for work of about one second."""

ROW = {
    "image", "way", "via", "cache", "link", "network", "first_bytes", "bytes", "first_resolution",
    "first_ms", "final_ms", "first_limit_ms", "final_limit_ms", "samples", "seen_ms", "seen_limit_ms",
}  # fmt: skip


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | environment,
        check=False,
    )


def until_answered(url: str) -> httpx.Response:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            return httpx.get(url, timeout=PATIENCE)
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"nobody answers at {url}")


def test_check_says_a_good_configuration_is_good(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("origins:\n  - url: http://pacs:8042/dicom-web\n")
    checked = run("check", str(file))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines() == [
        f"{file} is valid; origins: origin (http://pacs:8042/dicom-web)",
        "plans, purges and /v1/origins on the admin listener are off: admin.token_file is not set",
    ]


def test_check_warns_of_an_origin_whose_credentials_everybody_can_use(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    (tmp_path / "token").write_text("a-token")
    file.write_text(f"origins: [{{url: 'http://pacs', credentials: {{bearer_file: {tmp_path}/token}}}}]\n")
    checked = run("check", str(file))
    assert (checked.returncode, checked.stderr.count("\n")) == (0, 1)
    assert checked.stderr.startswith("warning: origins: origin: all who reach listen.viewers")


def test_check_says_each_fault_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("origins:\n  - url: http://pacs/dicom-web\n    timeout: 3\ncache: {bytes: 3 cups}\n")
    checked = run("check", str(file))
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr.splitlines() == [
        f"{file}:3: origins.0.timeout: unknown key; did you mean timeouts? "
        "The keys are name, url, default, profile, labels, frames, "
        "rendered, trust, forwarded, rewrite, timeouts, limits, tls, via, credentials, forward",
        f"{file}:4: cache.bytes: must be a number of bytes, such as 65536, 64KiB or 2GiB",
    ]


def test_check_prints_the_schema() -> None:
    schema = json.loads(run("check", "--schema").stdout)
    assert {"listen", "origins", "profiles", "cache", "log"} <= set(schema["properties"])


def test_a_command_without_what_it_needs_says_so() -> None:
    for arguments in ((), ("serve",), ("check",), ("demo", "--network", "5g")):
        refused = run(*arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("usage: progressive-proxy")


def test_serve_answers_and_ends_with_0_at_sigterm(tmp_path: Path) -> None:
    viewers, admin = free_port(), free_port()
    file = tmp_path / "config.yaml"
    file.write_text(
        f"listen: {{viewers: '127.0.0.1:{viewers}', admin: '127.0.0.1:{admin}'}}\n"
        f"origins: [{{url: 'http://127.0.0.1:{free_port()}'}}]\n"
    )
    with subprocess.Popen([COMMAND, "serve", "--config", file], stderr=subprocess.PIPE, text=True) as service:
        assert until_answered(f"http://127.0.0.1:{admin}/livez").json() == {"status": "ok"}
        assert httpx.get(f"http://127.0.0.1:{admin}/readyz", timeout=PATIENCE).json() == {"status": "ok"}
        assert httpx.get(f"http://127.0.0.1:{viewers}/studies", timeout=PATIENCE).status_code == 502
        service.send_signal(signal.SIGTERM)
        _, errors = service.communicate(timeout=PATIENCE)
        assert service.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])


def test_serve_on_a_port_that_is_taken_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "config.yaml"
        file.write_text(
            f"listen: {{viewers: '127.0.0.1:{taken.getsockname()[1]}'}}\norigins: [{{url: 'http://pacs'}}]\n"
        )
        refused = run("serve", "--config", str(file))
    assert refused.returncode == 1
    assert "in use" in refused.stderr


def test_measure_of_a_server_that_is_not_there_says_so() -> None:
    refused = run("measure", f"http://127.0.0.1:{free_port()}", "--network", "local")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("progressive-proxy: could not connect to 127.0.0.1:")


def children_of(parent: int) -> set[int]:
    """All descendants of a process, as the kernel lists them."""
    pairs = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = entry.read_text("utf-8").partition(" (")
            pairs.append((int(pid), int(rest.rpartition(") ")[2].split()[1])))
        except OSError:
            continue  # the process has ended meanwhile
    below = {pid for pid, up in pairs if up == parent}
    return below.union(*(children_of(pid) for pid in below))


def hear_ctrl_c() -> None:
    """A background run of the tests ignores SIGINT, and so would all child processes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def are_gone(pids: set[int]) -> bool:
    """True if all processes end soon by themselves; multiprocessing's tracker is the last one."""
    end = time.monotonic() + PATIENCE
    while any(is_running(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return False


@pytest.mark.demo
def test_the_demo_measures_every_way_and_leaves_no_process_behind(tmp_path: Path) -> None:
    pytest.importorskip("data_store", reason="needs the demo's images: pip install progressive-proxy[demo]")
    arguments = ("demo", "--all", "--network", "local", "--exit", "--json")
    with subprocess.Popen(
        [COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    ) as demo:
        seen: set[int] = set()
        while demo.poll() is None:
            seen |= children_of(demo.pid)
            time.sleep(0.2)
        printed, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, errors
    rows = json.loads(printed)["rows"]
    assert all(set(row) == ROW for row in rows)
    told = [(row["seen_ms"] is not None, row["way"], row["via"], row["cache"]) for row in rows]
    through = (("direct", "none"), ("proxy", "cold"), ("proxy", "hot"))
    assert told == [
        (is_volume and way != OPEN, way, via, cache)
        for kind, is_volume in ((Kind.STACK, False), (Kind.VOLUME, True))
        for ways, passed in (
            ((*WAYS[kind], JLS_WHOLE, JLS_REDUCED, OPEN), through),
            ((JLS_MADE, CUT), through[1:]),
            (PLANS[kind], [("plan", "cold")]),
        )
        for way in ways
        for via, cache in passed
    ]
    assert len({row["image"] for row in rows}) == 2
    assert all("synthetic" in row["image"].lower() for row in rows)
    assert next(row["first_resolution"] for row in rows if row["way"] == "range") == "190x190 (1/16)"
    assert len(seen) >= 2
    assert are_gone(seen)


@pytest.mark.demo
def test_ctrl_c_ends_the_demo_quietly(tmp_path: Path) -> None:
    pytest.importorskip("data_store", reason="needs the demo's images: pip install progressive-proxy[demo]")
    with subprocess.Popen(
        [COMMAND, "demo", "--table", "--network", "4g"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().startswith("Link before the origin")
        running = children_of(demo.pid)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        _, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert "Traceback" not in errors
    assert running
    assert are_gone(running)


@pytest.mark.demo
def test_the_demo_prints_the_address_of_its_page_and_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    pytest.importorskip("data_store", reason="needs the demo's images: pip install progressive-proxy[demo]")
    with subprocess.Popen(
        [COMMAND, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    ) as demo:
        assert demo.stdout is not None
        url = demo.stdout.readline().rpartition(" ")[2].strip()
        assert "metrics at http" in demo.stdout.readline()
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as reader:
            assert "Every picture at once" in reader.get("").text
            assert len(reader.get("state").json()["series"]) == 7
        running = children_of(demo.pid)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        printed, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0
    assert (printed, "Traceback" in errors) == ("", False)
    assert len(running) >= 4
    assert are_gone(running)

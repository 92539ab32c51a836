"""The image, built without a registry on a root from debootstrap, and run as a cluster would run it.

The root stands for the base image. It takes about a minute to make and is kept beside the tools.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.chart.pods import PATIENCE, ConfigMap, until
from tests.chart.rendering import CHARTS, one, rendered
from tests.chart.tools import PLACE, index, namespaces, run, tool, tried
from tests.ports import free_port

ROOT = CHARTS.parent
DOCKERFILE = ROOT / "Dockerfile"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PACKAGES = "python3-minimal,python3-venv,ca-certificates"
MOUNTED = "/etc/progressive-proxy/config"


@dataclass(frozen=True)
class Image:
    """An image that was built."""

    root: Path
    """Path of its root file system."""
    config: dict[str, object]
    """Configuration from its manifest."""


def test_hadolint_finds_nothing() -> None:
    assert run("hadolint", DOCKERFILE) == ""


def test_only_what_is_installed_goes_into_it() -> None:
    lines = DOCKERFILE.with_name(".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = [
        line.split()[1:-1] for line in DOCKERFILE.read_text("utf-8").splitlines() if line.startswith("COPY p")
    ]
    assert {name for names in copied for name in names} == kept


def test_the_base_is_pinned() -> None:
    text = DOCKERFILE.read_text("utf-8")
    assert "ARG PYTHON=python:3.11." in text
    assert "ENV PIP_CONSTRAINT=/build/constraints.txt" in text


def _base() -> Path:
    """A root file system with Python and certificate authorities."""
    base = PLACE / "base"
    if not base.exists():
        PLACE.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=PLACE) as folder:
            aside = Path(folder, "base")
            if tried(
                "debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", aside
            ).returncode:
                pytest.skip("no mirror of Debian answers debootstrap")
            for unneeded in ("usr/share/doc", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"):
                shutil.rmtree(aside / unneeded)  # each layer of a build here is a full copy
            aside.rename(base)
    return base


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    for name in ("buildah", "debootstrap", "crun"):
        tool(name)
    namespaces()
    index()
    folder = tmp_path_factory.mktemp("image")
    (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (folder / "base").write_text("FROM scratch\nCOPY . /\n")
    storage = ["--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs"]
    trusting = ["--signature-policy", folder / "policy.json"]
    building = [*storage, "bud", *trusting, "--isolation", "chroot", "--pull-never"]
    run("buildah", *building, "--tag", "base", "--file", folder / "base", _base())
    # pip inside the build may have to trust the same authority as pip outside, if a proxy is in between.
    cert = tried("pip", "config", "get", "global.cert").stdout.strip()
    (folder / "pip.conf").write_text(f"[global]\ncert = {AUTHORITIES}\n" if cert else "")
    volumes = [
        "--volume",
        f"{folder / 'pip.conf'}:/etc/pip.conf:ro",
        "--volume",
        f"{AUTHORITIES}:{AUTHORITIES}:ro",
    ]
    run("buildah", *building, "--build-arg", "PYTHON=localhost/base", *volumes, "--tag", "proxy", ROOT)
    told = json.loads(run("buildah", *storage, "inspect", "--type", "image", "localhost/proxy"))
    container = run("buildah", *storage, "from", *trusting, "--pull-never", "localhost/proxy").strip()
    root = Path(run("buildah", *storage, "mount", container).strip())
    for shell in ("sh", "bash", "dash"):
        (root / "bin" / shell).unlink()  # nothing below needs a shell
    yield Image(root, told["OCIv1"]["config"])
    run("buildah", *storage, "rm", container)
    shutil.rmtree(folder)


def _bundle(folder: Path, image: Image, arguments: list[str], config: Path) -> Path:
    """Writes the chart's container as an OCI bundle. It uses the network of the machine."""
    hardened = one("Deployment", rendered("helm4", "least"))["spec"]["template"]["spec"]["containers"][0]
    security = hardened["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    none: dict[str, list[str]] = {
        kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
    }
    process = {
        "user": {"uid": security["runAsUser"], "gid": security["runAsGroup"]},
        "args": arguments,
        "env": image.config["Env"],
        "cwd": "/",
        "capabilities": none,
        "noNewPrivileges": not security["allowPrivilegeEscalation"],
    }
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": MOUNTED, "type": "bind", "source": str(config), "options": ["rbind", "ro"]},
    ]
    bundle = {
        "ociVersion": "1.0.0",
        "process": process,
        "root": {"path": str(image.root), "readonly": security["readOnlyRootFilesystem"]},
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(bundle))
    return folder


@contextmanager
def started(
    folder: Path, image: Image, arguments: list[str], config: str = ""
) -> Iterator["subprocess.Popen[str]"]:
    """Starts a container of the image."""
    folder.chmod(0o755)
    ConfigMap(folder / "config", {"config.yaml": config})
    bundle = _bundle(folder / "bundle", image, arguments, folder / "config")
    # crun requires one kind of cgroups. An empty folder satisfies it, and no cgroups are created.
    crun = f"{tool('crun')} --cgroup-manager=disabled --root"
    script = f'mount -t tmpfs none /sys/fs/cgroup && exec {crun} "$0/crun" run --bundle "$1" "$2"'
    command = ["unshare", "--mount", "sh", "-c", script, str(folder), str(bundle), folder.name]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]  # both are pipes
        try:
            yield process
        finally:
            process.kill()


def said(folder: Path, image: Image, *arguments: str) -> str:
    """The output of a command in a container."""
    with started(folder, image, list(arguments)) as process:
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out
    return str(out)


def test_it_is_nobody_s_and_serves_by_itself(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == ["progressive-proxy"]
    container = one("Deployment", rendered("helm4", "least"))["spec"]["template"]["spec"]["containers"][0]
    assert image.config["Cmd"] == container["args"]


def test_it_leaves_the_allocator_to_the_program(image: Image) -> None:
    assert not [each for each in _words(image, "Env") if "MALLOC" in each]


def test_it_serves_with_a_root_that_can_not_be_written_and_no_shell(image: Image, tmp_path: Path) -> None:
    viewers, admin = free_port(), free_port()
    config = (
        f"listen: {{viewers: '127.0.0.1:{viewers}', admin: '127.0.0.1:{admin}', grace: 1}}\n"
        f"origins: [{{url: 'http://127.0.0.1:{free_port()}'}}]\n"
    )
    arguments = [*_words(image, "Entrypoint"), *_words(image, "Cmd")]
    with started(tmp_path, image, arguments, config) as process:
        until(lambda: process.poll() is not None or _answers(f"http://127.0.0.1:{admin}/livez"))
        assert process.poll() is None, process.communicate()[0]
        assert httpx.get(f"http://127.0.0.1:{viewers}/studies", timeout=PATIENCE).status_code == 502
        inside = _of(process.pid)
        status = dict(
            line.split(":\t")
            for line in Path(f"/proc/{inside}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert status["Uid"] == "65532\t65532\t65532\t65532"
        assert (status["CapEff"], status["NoNewPrivs"]) == ("0" * 16, "1")
        os.kill(inside, 15)
        assert process.wait(PATIENCE) == 0


def _words(image: Image, key: str) -> list[str]:
    words = image.config[key]
    assert isinstance(words, list)
    return words


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False


def _of(pid: int) -> int:
    """The PID of the container's own process, which is the only child of crun."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_it_has_authorities_to_trust_and_every_version_is_pinned(image: Image, tmp_path: Path) -> None:
    code = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert int(said(tmp_path / "a", image, "python", "-c", code)) > 100
    listed = "f'{each.name}=={each.version}' for each in importlib.metadata.distributions()"
    code = f"import importlib.metadata; print(*({listed}), sep='\\n')"
    installed = {_plain(line) for line in said(tmp_path / "b", image, "python", "-c", code).split()}
    pinned = {_plain(line) for line in (ROOT / "constraints.txt").read_text("utf-8").split()}
    assert len(installed) > 20
    assert {each for each in installed - pinned if not each.startswith("progressive-proxy==")} == set()


def _plain(requirement: str) -> str:
    return requirement.lower().replace("_", "-")


def test_the_commands_of_the_chart_are_there(image: Image, tmp_path: Path) -> None:
    for number, arguments in enumerate(
        (("progressive-proxy", "measure", "--help"), ("python", "-c", "print(1)"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert said(folder, image, *arguments)

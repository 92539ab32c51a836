"""Runs what the chart renders: a ConfigMap as the kubelet mounts it, and a container's own command."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.chart.rendering import CHART, RELEASE, Object, one
from tests.chart.tools import run

BIN = Path(sys.executable).parent
MOUNTED = "/etc/progressive-proxy/config"
PATIENCE = 240
"""Seconds to wait for a condition."""


class ConfigMap:
    """A directory whose files change all at once through one symbolic link, as the kubelet does it."""

    def __init__(self, folder: Path, data: dict[str, str]) -> None:
        self._folder = folder
        self._version = 0
        folder.mkdir()
        self.write(data)
        for name in data:
            (folder / name).symlink_to(Path("..data") / name)

    def write(self, data: dict[str, str]) -> None:
        """Replaces the contents."""
        self._version += 1
        version = self._folder / f"..version_{self._version}"
        version.mkdir()
        for name, text in data.items():
            (version / name).write_text(text, "utf-8")
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")


@dataclass(frozen=True)
class Pod:
    """A proxy that runs with the chart's own command."""

    values: dict[str, Any]
    manifest: str
    config: ConfigMap
    folder: Path
    process: "subprocess.Popen[bytes]"
    viewers: str
    admin: str

    def upgraded(self, **config: Any) -> None:
        """Replaces the ConfigMap with that of another configuration."""
        self.config.write(
            _data(_manifest(self.folder, self.values | {"config": self.values["config"] | config}))
        )

    def metric(self, name: str) -> float | None:
        """The current value of a metric."""
        for line in httpx.get(f"{self.admin}/metrics", timeout=PATIENCE).text.splitlines():
            if line.startswith(f"progressive_proxy_{name} "):
                return float(line.rpartition(" ")[2])
        return None

    def command(self, container: Object) -> list[str]:
        """The command of a container, with its cluster paths and addresses replaced by local ones."""
        words = container.get("command", ["progressive-proxy"]) + container.get("args", [])
        here = {MOUNTED: str(self.folder / "config"), self.service: self.viewers}
        for there, replaced in here.items():
            words = [word.replace(there, replaced) for word in words]
        return [str(BIN / words[0]), *words[1:]]

    @property
    def service(self) -> str:
        """URL of the Service inside the cluster."""
        return "http://imaging-progressive-proxy:8080"


def _manifest(folder: Path, values: dict[str, Any]) -> str:
    path = folder / "values.json"
    path.write_text(json.dumps(values), "utf-8")
    return run("helm4", "template", *RELEASE, CHART, "--values", path)


def _data(manifest: str) -> dict[str, str]:
    return dict(one("ConfigMap", manifest, "-proxy")["data"])


def until(is_so: Any, patience: float = PATIENCE) -> None:
    """Polls until a condition holds."""
    end = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.05)


@contextmanager
def standalone(folder: Path, origin: str, ports: tuple[int, int], **more: Any) -> Iterator[Pod]:
    """Starts a pod in front of an origin."""
    viewers, admin = (f"127.0.0.1:{port}" for port in ports)
    config = {"listen": {"viewers": viewers, "admin": admin}, "origins": [{"url": origin}]} | more
    values = {"mode": "standalone", "config": config, "measure": {"enabled": True}}
    manifest = _manifest(folder, values)
    mounted = ConfigMap(folder / "config", _data(manifest))
    container = one("Deployment", manifest)["spec"]["template"]["spec"]["containers"][0]
    command = [word.replace(MOUNTED, str(folder / "config")) for word in container["args"]]
    with subprocess.Popen([BIN / "progressive-proxy", *command], stderr=subprocess.DEVNULL) as process:
        urls = f"http://{viewers}", f"http://{admin}"
        try:
            until(lambda: _is_started(urls[1]))
            yield Pod(values, manifest, mounted, folder, process, *urls)
        finally:
            process.terminate()


def _is_started(admin: str) -> bool:
    try:
        return httpx.get(f"{admin}/livez", timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False

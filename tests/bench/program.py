"""The installed program as a process of its own, with a configuration."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.ports import free_port

PROGRAM = Path(sys.executable).parent / "progressive-proxy"


@dataclass(frozen=True)
class Program:
    """A proxy that runs."""

    url: str
    """Base URL for viewers."""
    admin: str
    """Base URL of the admin listener."""
    process: int
    said: Path
    """The file that has its standard error."""


@contextmanager
def program(config: Mapping[str, Any]) -> Iterator[Program]:
    """Runs the proxy on free ports of loopback, with compiled modules as installed. It logs errors only."""
    port, admin = free_port(), free_port()
    listen = {"viewers": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin}"}
    with TemporaryDirectory(prefix="bench-program-") as folder:
        path, said = Path(folder, "config.yaml"), Path(folder, "said")
        written = {"listen": listen, "admin": {"open": True}, "log": {"level": "error"}, **config}
        path.write_text(json.dumps(written), "utf-8")  # which is YAML too
        with (
            said.open("wb") as log,
            Popen([PROGRAM, "serve", "--config", path], stderr=log, env=_environment()) as process,
        ):
            try:
                found = Program(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", process.pid, said)
                _wait(found)
                yield found
            finally:
                process.terminate()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _wait(started: Program) -> None:
    """Until the proxy has answered once."""
    for _ in range(6000):
        try:
            httpx.get(f"{started.url}/studies", trust_env=False, timeout=240)
            return
        except httpx.TransportError:
            time.sleep(0.01)
    raise RuntimeError(f"the proxy does not start:\n{started.said.read_text('utf-8')}")

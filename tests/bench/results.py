"""What was measured, as a file beside the page that is made from it: with commit, machine and versions."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.pages.measured import RESULTS

LIBRARIES = ("httptools", "imagecodecs", "numpy", "pyreqwest", "uvicorn", "uvloop")


def save(name: str, command: str, rows: Iterable[Mapping[str, Any]], folder: Path = RESULTS) -> None:
    """Writes `NAME.json`, one row in each line."""
    head = json.dumps(_measured(command), ensure_ascii=False, indent=2).replace("\n", "\n  ")
    body = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in rows)
    path = folder / f"{name}.json"
    path.write_text(f'{{\n  "measured": {head},\n  "rows": [\n{body}\n  ]\n}}\n', "utf-8")
    print(f"\nWritten: {path.name}")


def _measured(command: str) -> dict[str, Any]:
    return {
        "command": command,
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _commit() -> str:
    """The commit that is checked out, and whether files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=RESULTS,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "not recorded"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "not recorded")

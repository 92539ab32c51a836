"""What `progressive-proxy demo` measures, every way of loading, kept as a file."""

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.results import save

COMMAND = ("progressive-proxy", "demo", "--exit", "--all", "--json")


def run() -> None:
    program = (str(Path(sys.executable).parent / COMMAND[0]), *COMMAND[1:])
    print("Every way of loading, over 4g; it takes some minutes.", flush=True)
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
    rows = [{key: row[key] for key in row if key != "samples"} for row in json.loads(done.stdout)["rows"]]
    save("demo", " ".join(COMMAND), rows)

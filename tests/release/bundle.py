"""The bundle for machines without a network: wheels, the chart, an image, and their papers."""

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from shutil import copy, rmtree
from tempfile import TemporaryDirectory

from tests.chart.tools import run
from tests.release.carried import EXTRAS, NAME, PIP, ROOT, VERSION, WANTED, describe, installed

INSTALL = f"""# {NAME} {VERSION} without a network

    sha256sum --check SHA256SUMS

A Python environment, with the interpreter version that made the bundle:

    python3 -m venv /opt/{NAME}
    /opt/{NAME}/bin/pip install --no-index --find-links wheels '{NAME}{EXTRAS}=={VERSION}'
    /opt/{NAME}/bin/{NAME} --version

A cluster: load `image.tar`, if the bundle has it, push it to your registry, and install the chart.

    buildah pull docker-archive:image.tar
    helm upgrade --install imaging {NAME}-{VERSION}.tgz --set image.registry=REGISTRY --values values.yaml
"""


def collect(
    folder: Path, image: str = "", storage: tuple[str, ...] = (), pushing: tuple[str, ...] = ()
) -> None:
    """Puts the parts of the bundle into a folder.

    `image` is the name of an image that buildah has; without one, the bundle has none. `storage` and
    `pushing` are options of buildah, and of its push.
    """
    rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    environment = os.environ | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    command = [*PIP, "wheel", "--constraint", "constraints.txt", "--wheel-dir", str(wheels), WANTED]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    run("helm4", "package", ROOT / "charts" / NAME, "--destination", folder)
    for name in ("LICENSE", "constraints.txt", "CHANGELOG.md"):
        copy(ROOT / name, folder / name)
    if image:
        run(
            "buildah",
            *storage,
            "push",
            *pushing,
            image,
            f"docker-archive:{folder / 'image.tar'}:{NAME}:{VERSION}",
        )
    (folder / "INSTALL.md").write_text(INSTALL, "utf-8")
    with TemporaryDirectory() as place:
        describe(installed(Path(place), wheels), folder)


def seal(folder: Path) -> Path:
    """Adds the checksums of all files, and packs the folder. Returns the archive."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    sums = [f"{_sum_of(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(sums), "utf-8")
    archive = folder.with_name(f"{folder.name}.tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, folder.name)
    return archive


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


TRYING = """
set -eu
ip link set lo up
if "$PYTHON" -c 'import socket; socket.create_connection(("192.0.2.1", 80), 2)' 2>/dev/null; then exit 9; fi
sha256sum --quiet --check SHA256SUMS
"$PYTHON" -m venv "$PLACE"
"$PLACE/bin/pip" --quiet install --no-index --find-links wheels "$NAME$EXTRAS==$VERSION"
cd "$PLACE"
"$PLACE/bin/python" -c 'import botocore, obstore, opentelemetry.sdk, valkey'
"$PLACE/bin/$NAME" --version
printf 'origins: [{url: "http://127.0.0.1:9"}]\\n' > config.yaml
"$PLACE/bin/$NAME" check config.yaml
"$PLACE/bin/$NAME" serve --config config.yaml & served=$!
"$PLACE/bin/python" -c '
import time, urllib.request
for _ in range(2400):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8081/livez").read().decode())
        break
    except OSError:
        time.sleep(0.1)
else:
    raise SystemExit("does not serve")
'
kill "$served"
wait "$served"
"""
"""Installs a bundle in a network namespace, and serves there."""


def tried_without_network(folder: Path, place: Path) -> str:
    """Installs and starts a bundle without a network, into `place`. Returns what the commands said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    given = {"PIP_CONFIG_FILE": os.devnull, "PYTHON": sys.executable, "PLACE": str(place)}
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", TRYING],
        cwd=folder,
        env=kept | given | {"NAME": NAME, "VERSION": VERSION, "EXTRAS": EXTRAS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

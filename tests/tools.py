"""Installs the programs that tests need and that no Python package brings: `python -m tests.tools`.

As root it installs by apt, otherwise it names the packages. Tests that miss a program are skipped and say so.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGES = {
    "Orthanc": "orthanc",
    "buildah": "buildah",
    "chromium": "chromium",
    "crun": "crun",
    "curl": "curl",
    "debootstrap": "debootstrap",
    "firefox-esr": "firefox-esr",
    "grk_compress": "grokj2k-tools",
    "nginx": "nginx-light",
    "npm": "npm",
    "ojph_compress": "openjph-tools",
    "prometheus": "prometheus",
    "redis-server": "redis-server",
    "/usr/share/orthanc/plugins/libOrthancDicomWeb.so": "orthanc-dicomweb",
}
"""Debian's package for each program or file."""
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
APT = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
CREATOR = "static-dicomweb-creator==0.2.11"
BROWSER = Path(__file__).parent / "browser"
VIEWERS = BROWSER / "node_modules" / ".viewers"
"""Folder of the whole viewers. npm leaves a hidden folder alone."""
UNUSED = (".map", ".onnx")
UNUSED_FOLDERS = ("package/dist/ort/", "package/docs/", "package/src/")
"""Files of viewers that no test opens: more than half of their bytes."""


def missing() -> list[str]:
    """Packages whose program is not here."""
    return [
        package
        for program, package in PACKAGES.items()
        if not Path(program).is_file() and shutil.which(program, path=PATH) is None
    ]


def main() -> None:
    packages = missing()
    if packages and os.geteuid() == 0 and shutil.which(APT[0]):
        _tell(f"Installing {', '.join(packages)} …")
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*APT, "update"], check=False, env=quiet)
        for package in packages:  # each by itself: one that this release lacks keeps no other away
            command = [*APT, "install", "-y", "--no-install-recommends", package]
            subprocess.run(command, check=False, env=quiet, stdout=subprocess.DEVNULL)
        packages = missing()
    if packages:
        _tell(f"Missing, and their tests are skipped: apt-get install {' '.join(packages)}")
    subprocess.run([*PIP, CREATOR], check=True)
    if npm := shutil.which("npm"):
        subprocess.run([npm, "install", "--silent", "--prefix", BROWSER], check=True)
        for name, version in viewers().items():
            _unpack(npm, name, version)


def viewers() -> dict[str, str]:
    """The viewers that npm has built, with their versions. They need nothing of what they were built from."""
    found: dict[str, str] = json.loads((BROWSER / "package.json").read_text("utf-8"))["viewers"]
    return found


def _unpack(npm: str, name: str, version: str) -> None:
    """Puts the files of a package into its folder, unless they are there."""
    folder, stamp = VIEWERS / name, VIEWERS / name / f".{version}"
    if stamp.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    with TemporaryDirectory() as aside:
        command = [npm, "pack", "--silent", "--pack-destination", aside, f"{name}@{version}"]
        subprocess.run(command, check=True, cwd=BROWSER, stdout=subprocess.DEVNULL)
        (packed,) = Path(aside).glob("*.tgz")
        with tarfile.open(packed) as archive:
            used = (
                member
                for member in archive
                if not member.name.endswith(UNUSED) and not member.name.startswith(UNUSED_FOLDERS)
            )
            archive.extractall(aside, used, filter="data")
        shutil.copytree(Path(aside) / "package", folder)
    stamp.touch()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()

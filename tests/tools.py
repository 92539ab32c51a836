"""Installs the programs that tests need and that no Python package brings: `python -m tests.tools`.

As root it installs by apt, otherwise it names the packages. Tests that miss a program are skipped and say so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()

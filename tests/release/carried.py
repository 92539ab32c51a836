"""What the image and the wheel carry: an environment like the image's, its SBOM and its NOTICE."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NAME, VERSION = str(PROJECT["name"]), str(PROJECT["version"])
DIST = ROOT / "dist"
WANTED = re.findall(r" install .*'(\.\[.+\])'", (ROOT / "Dockerfile").read_text("utf-8"))[0]
"""What `Dockerfile` installs."""
EXTRAS = WANTED[1:]
"""The extras in it, in brackets."""
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
LISTING = """
import json
from importlib.metadata import distributions
rows = []
for each in distributions():
    meta, files = each.metadata, [path for path in each.files or [] if ".dist-info" in str(path.parent)]
    words = ("licen", "copying", "notice")
    texts = [path for path in files if path.parent.name == "licenses" or path.name.lower().startswith(words)]
    kinds = [kind.split("::") for kind in meta.get_all("Classifier", []) if kind.startswith("License ::")]
    said = meta.get("License-Expression") or ", ".join(kind[-1].strip() for kind in kinds)
    licence = said or (meta.get("License") or "").partition("\\n")[0]
    rows.append([meta["Name"], each.version, licence, [str(each.locate_file(path)) for path in texts]])
print(json.dumps(rows))
"""
"""Lists the distributions of the environment that runs it."""


@dataclass(frozen=True)
class Part:
    """A distribution that the image carries."""

    name: str
    version: str
    licence: str
    """Its licence, as it says itself; empty if it does not."""
    texts: tuple[Path, ...]
    """Files with the licence and with notices."""


def installed(folder: Path, wheels: Path | None = None) -> Path:
    """An environment with what the image carries, from these wheels if given. Returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    where = ["--no-index", "--find-links", str(wheels), f"{NAME}{EXTRAS}"] if wheels else [WANTED]
    command = [*PIP, "--python", str(python), "install", "--constraint", "constraints.txt", *where]
    environment = os.environ | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return python


def parts(python: Path) -> list[Part]:
    """The distributions of an environment, by name."""
    told = subprocess.run([python, "-I", "-c", LISTING], check=True, capture_output=True, text=True).stdout
    found = [
        Part(name, version, licence, tuple(map(Path, texts)))
        for name, version, licence, texts in json.loads(told)
    ]
    return sorted(found, key=lambda part: part.name.lower())


def write_sbom(python: Path, path: Path) -> None:
    """Writes the SBOM, validated, in CycloneDX's JSON. The same parts give the same file."""
    form = ["--of", "JSON", "--sv", "1.6", "--output-reproducible", "--validate"]
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *form]
    command += ["--pyproject", "pyproject.toml", "-o", str(path), str(python)]
    subprocess.run(command, check=True, cwd=ROOT)


def describe(python: Path, folder: Path) -> tuple[Path, Path]:
    """Writes the SBOM and the NOTICE of an environment into a folder."""
    sbom, told = folder / f"{NAME}-{VERSION}.cdx.json", folder / "NOTICE"
    write_sbom(python, sbom)
    told.write_text(notice(parts(python)), "utf-8")
    return sbom, told


def notice(found: list[Part]) -> str:
    """The NOTICE: each part with its licence, and all of their texts, each text once."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: list[Part]) -> Iterator[str]:
    yield f"{NAME} {VERSION}"
    yield f"Licence: {PROJECT['license']}, see LICENSE.\n"
    yield "The wheel carries only the program. The image carries these distributions too, beside what its"
    yield "base image brings (Debian and Python, with their licences in /usr/share/doc and /usr/local):\n"
    others = [part for part in found if part.name != NAME]
    for part in others:
        yield f"- {part.name} {part.version}: {part.licence or 'see its text below'}"
    owners: dict[str, list[str]] = {}
    for part in others:
        for path in part.texts:
            text = path.read_text("utf-8", errors="replace").strip()
            owners.setdefault(text, []).append(part.name)
    for text, names in owners.items():
        yield f"\n{'-' * 72}\n{', '.join(dict.fromkeys(names))}\n{'-' * 72}\n"
        yield text

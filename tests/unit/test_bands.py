"""The packages keep their bands: each imports only what it may, and each outside library has its doors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROXY = Path(__file__).parents[2] / "proxy"

BANDS = {
    "commands": {"__main__", "cli", "commands", "measure", "demo", "archive", "service"},
    "faces": {"viewers", "admin"},
    "engine": {"prefetch", "alternates", "fetch"},
    "suppliers and stores": {"origin", "cache", "codecs", "settings", "access"},
    "facts": {"frame", "plan", "codestream", "wire", "telemetry", "page", "errors"},
}
"""Bands from the top down. A package imports from its own band and from those below it."""

MAY_IMPORT = {
    "cli": {"commands", "errors"},
    "__main__": {"cli"},
    "commands": {
        *("archive", "demo", "measure", "service", "prefetch", "origin", "codecs", "settings", "access"),
        *("frame", "plan", "codestream", "wire", "errors"),
    },
    "measure": {"origin", "codecs", "plan", "codestream", "wire", "errors"},
    "demo": {"measure", "codecs", "settings", "access", "plan", "codestream", "wire", "page", "errors"},
    "archive": {"codecs", "codestream", "wire", "errors"},
    "service": {
        *("viewers", "admin", "prefetch", "alternates", "fetch", "origin", "cache", "codecs", "settings"),
        *("access", "frame", "plan", "wire", "telemetry", "errors"),
    },
    "viewers": {
        *("prefetch", "alternates", "fetch", "origin", "cache", "codecs", "access"),
        *("frame", "plan", "wire", "telemetry", "errors"),
    },
    "admin": {
        *("prefetch", "fetch", "origin", "settings", "access"),
        *("frame", "plan", "wire", "telemetry", "page", "errors"),
    },
    "prefetch": {
        *("alternates", "fetch", "cache", "access"),
        *("frame", "plan", "codestream", "wire", "telemetry", "errors"),
    },
    "alternates": {
        *("fetch", "origin", "cache", "codecs", "access"),
        *("frame", "plan", "codestream", "wire", "errors"),
    },
    "fetch": {"origin", "cache", "access", "frame", "plan", "codestream", "wire", "telemetry", "errors"},
    "origin": {"cache", "frame", "codestream", "wire", "telemetry", "errors"},
    "cache": {"frame", "wire", "telemetry"},
    "codecs": {"codestream", "wire", "errors"},
    "settings": {"codecs", "access", "plan", "codestream", "wire", "telemetry", "errors"},
    "access": {"cache", "wire", "errors"},
    "frame": {"codestream", "wire", "errors"},
    "plan": {"codestream", "wire", "errors"},
    "codestream": {"errors"},
    "wire": {"errors"},
    "telemetry": set[str](),
    "page": {"errors"},
    "errors": set[str](),
}
"""The packages that each package imports: no others, and none that it does not need."""

DOORS = {
    "httpx": {"origin", "measure", "service"},
    "httptools": {"service"},
    "httpx_sse": {"measure"},
    "pyreqwest": {"origin"},
    "botocore": {"origin"},
    "jwt": {"access"},
    "backports": {"origin"},
    "compression": {"origin"},
    "cryptography": {"cache", "service"},
    "cachetools": {"cache"},
    "sqlite3": {"cache"},
    "xxhash": {"cache"},
    "valkey": {"cache"},
    "obstore": {"cache"},
    "imagecodecs": {"codecs"},
    "pydicom": {"archive", "demo"},
    "numpy": {"codecs", "archive", "demo", "measure"},
    "prometheus_client": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "requests": {"telemetry"},
    "yaml": {"plan", "settings"},
    "cronsim": {"plan"},
    "shtab": {"commands"},
    "tree_sitter": {"plan"},
    "tree_sitter_typescript": {"plan"},
    "pydantic": {"plan", "settings", "admin", "commands"},
    "pydantic_settings": {"settings"},
    "fastapi": {"admin", "demo"},
    "fastapi_offline": {"admin"},
    "starlette": {"service", "viewers", "admin", "demo", "page"},
    "uvicorn": {"service", "demo"},
    "uvloop": {"service", "measure", "demo", "commands"},
    "pythonjsonlogger": {"telemetry"},
    "platformdirs": {"commands"},
    "tqdm": {"archive", "commands"},
}
"""The packages in which an outside library may be imported."""

MOST_ENTRIES = 25
"""Packages and modules on the top level; more is a list, not a picture."""
MOST_LINES = 300
"""Lines a file. A longer one has probably two subjects."""


def package_of(path: Path) -> str:
    return path.relative_to(PROXY).parts[0].removesuffix(".py")


FILES = [path for path in sorted(PROXY.rglob("*.py")) if path != PROXY / "__init__.py"]
PACKAGES = {package_of(path) for path in FILES}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = {"proxy"} if node.module == "proxy" else set()
            yield from (f"proxy.{alias.name}" for alias in node.names) if names else (node.module or "",)


def packages_imported_by(package: str) -> set[str]:
    files = [path for path in FILES if package_of(path) == package]
    names = [name.split(".")[1] for path in files for name in imports(path) if name.startswith("proxy.")]
    return set(names) - {package}


def test_every_package_stands_in_one_band() -> None:
    assert sorted(package for band in BANDS.values() for package in band) == sorted(PACKAGES)
    assert set(MAY_IMPORT) == PACKAGES


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_what_it_may_and_what_it_may_it_needs(package: str) -> None:
    assert packages_imported_by(package) == MAY_IMPORT[package]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_no_package_imports_from_a_band_above_its_own(package: str) -> None:
    bands = list(BANDS.values())
    own = next(number for number, band in enumerate(bands) if package in band)
    assert MAY_IMPORT[package] <= set().union(*bands[own:])


def test_no_packages_import_each_other_in_a_circle() -> None:
    left = {package: set(others) for package, others in MAY_IMPORT.items()}
    while free := {package for package, others in left.items() if not others & set(left)}:
        left = {package: others for package, others in left.items() if package not in free}
    assert left == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROXY)))
def test_each_library_has_its_doors(path: Path) -> None:
    for name in imports(path):
        library = name.partition(".")[0]
        if library in DOORS:
            assert package_of(path) in DOORS[library], f"{package_of(path)} imports {library}"


def test_one_module_only_speaks_opentelemetry() -> None:
    libraries = {path: {name.partition(".")[0] for name in imports(path)} for path in FILES}
    found = [str(path.relative_to(PROXY)) for path, names in libraries.items() if "opentelemetry" in names]
    assert found == ["telemetry/spans.py"]


def test_the_top_level_is_a_picture() -> None:
    assert len(PACKAGES) <= MOST_ENTRIES


def test_no_file_is_long() -> None:
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}

"""The house keeps its shape: imports point down only, and each outside library has its doors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "proxy"

FLOORS = (
    {"errors"},
    {
        "wire",
        "codestream",
        "metrics",
        "children",
        "configuration",
        "logs",
        "tasks",
        "turns",
        "window",
        "closing",
    },
    {"plan", "cache"},
    {"origin", "alternates", "gate"},
    {"fill"},
    {
        "retrieve",
        "series",
        "access",
        "problem",
        "passing",
        "cors",
        "sections",
        "composing",
        "changing",
        "admission",
        "rules",
    },
    {"transcode", "delivery", "settings", "readiness", "http1"},
    {"prefetch", "several", "listeners"},
    {"frames", "plans_api", "admin", "reload"},
    {"rendering"},
    {"app", "measure", "demo", "archive"},
    {"showing", "planning", "inspecting", "probing", "creating"},
    {"cli"},
)
"""Rooms by floor, from the ground up; rooms on one floor do not know each other."""

DOORS = {
    "httpx": {"origin", "measure", "app"},
    "httptools": {"http1"},
    "httpx_sse": {"measure"},
    "pyreqwest": {"origin"},
    "botocore": {"origin"},
    "cachetools": {"cache"},
    "imagecodecs": {"alternates"},
    "pydicom": {"archive", "demo"},
    "numpy": {"alternates", "archive", "demo", "measure"},
    "prometheus_client": {"metrics"},
    "yaml": {"plan", "configuration"},
    "pydantic": {"plan", "configuration", "settings", "sections", "plans_api", "creating"},
    "pydantic_settings": {"settings", "configuration"},
    "fastapi": {"admin", "plans_api", "demo"},
    "starlette": {"app", "frames", "several", "delivery", "problem", "passing", "demo", "cors", "closing"},
    "uvicorn": {"http1", "listeners", "demo"},
    "uvloop": {"app", "measure", "demo", "showing", "planning", "inspecting", "probing"},
    "pythonjsonlogger": {"logs"},
    "platformdirs": {"showing"},
    "tqdm": {"archive", "planning"},
}
"""The rooms in which an outside library may be imported."""


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return [path for path in sorted(HOUSE.rglob("*.py")) if path != HOUSE / "__init__.py"]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = {"proxy"} if node.module == "proxy" else set()
            yield from (f"proxy.{alias.name}" for alias in node.names) if names else (node.module or "",)


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in files()} <= set().union(*FLOORS)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    for name in imports(path):
        if not name.startswith("proxy."):
            continue
        other = name.split(".")[1]
        assert other == room or floor_of(other) < floor_of(room), f"{room} imports {other}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_each_library_has_its_doors(path: Path) -> None:
    for name in imports(path):
        library = name.partition(".")[0]
        if library in DOORS:
            assert room_of(path) in DOORS[library], f"{room_of(path)} opens {library}"


def test_the_house_is_drawn_as_it_stands() -> None:
    drawn = (HOUSE / "__init__.py").read_text("utf-8")
    for number, rooms in enumerate(FLOORS):
        line = next(line for line in drawn.splitlines() if line.strip().startswith(f"{number} "))
        assert set(line.split()[1:]) == rooms


def test_no_file_is_long() -> None:
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in files()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}

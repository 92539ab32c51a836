import os
from pathlib import Path

import pytest

from proxy.service.allocator import keep_returning, return_freed_memory
from proxy.service.memory import LEAST, MIB, UNLIMITED, cache_bytes, fitting, memory_limit, warning
from proxy.settings.model import Settings

ORIGINS = [{"name": "pacs", "url": "http://pacs.example/dicom-web"}]


def settings_of(size: str = "auto", **more: object) -> Settings:
    return Settings(origins=ORIGINS, cache={"bytes": size}, **more)  # type: ignore[arg-type]  # parsed


def resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def limit_in(folder: Path, own: str, files: dict[str, str]) -> int | None:
    for name, text in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")
    (folder / "own").write_text(own, "utf-8")
    return memory_limit(folder / "groups", folder / "own")


V1 = "9:name=systemd:/a\n4:memory:/a/b\n1:cpu:/a\n0::/\n"
NONE = str((1 << 63) - 4096)


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "2147483648"}, 2048 * MIB),
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "1000", "a/b/memory.max": "2000"}, 1000),
        ("0::/a/b\n", {"a/memory.max": "3000", "a/b/memory.max": "2000"}, 2000),
        ("0::/elsewhere\n", {"memory.max": "5000"}, 5000),
        (V1, {"memory/memory.limit_in_bytes": NONE, "memory/a/b/memory.limit_in_bytes": "7000"}, 7000),
        (V1, {"memory/memory.limit_in_bytes": NONE}, None),
        ("", {"memory.max": "1000"}, None),
    ],
)
def test_the_smallest_limit_of_the_groups_counts(
    tmp_path: Path, own: str, files: dict[str, str], limit: int | None
) -> None:
    assert limit_in(tmp_path, own, files) == limit


def test_a_system_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path, tmp_path / "none") is None


def test_auto_fits_the_limit_and_leaves_what_the_program_and_its_workers_need() -> None:
    assert cache_bytes(settings_of(), None) == UNLIMITED
    assert cache_bytes(settings_of(), 128 * MIB) == LEAST
    alone = cache_bytes(settings_of(), 2048 * MIB)
    made = {"small": {"path": "/small/", "scale": "1/4", "codec": "htj2k"}}
    beside = cache_bytes(settings_of(alternates=made), 2048 * MIB)
    assert 1024 * MIB < beside < alone < 1800 * MIB


def test_a_number_that_does_not_fit_is_warned_of() -> None:
    assert warning(settings_of("4GiB"), None) is None
    assert warning(settings_of("1GiB"), 2048 * MIB) is None
    assert warning(settings_of(), 128 * MIB) is None
    most = fitting(settings_of(), 2048 * MIB) // MIB
    assert warning(settings_of("2GiB"), 2048 * MIB) == (
        f"cache.bytes: 2048 MiB do not fit the container's limit of 2048 MiB; auto would take {most} MiB"
    )
    assert cache_bytes(settings_of("2GiB"), 2048 * MIB) == 2048 * MIB


def test_the_environment_goes_before_the_program_s_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    assert not return_freed_memory()


@pytest.mark.anyio
@pytest.mark.parametrize("is_set", [False, True])
async def test_free_memory_between_blocks_in_use_goes_back(
    monkeypatch: pytest.MonkeyPatch, *, is_set: bool
) -> None:
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    if is_set:
        monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    blocks = [bytes(64 * 1024) for _ in range(2000)]
    del blocks[::2]
    before = resident()
    keep_returning()
    assert (before - resident() > 40 * MIB) is not is_set


def test_several_processes_need_their_memory_beside_the_frames() -> None:
    alone = cache_bytes(settings_of(), 2048 * MIB)
    two, four = (cache_bytes(settings_of(workers={"http": count}), 2048 * MIB) for count in (2, 4))
    assert LEAST < four < two < alone

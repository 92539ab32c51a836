"""What each of several workers gets of a setting."""

from pathlib import Path

import pytest

from proxy.service.several.share import cores, part_of, share, workers_of
from proxy.settings.model import Settings

MIB = 1024 * 1024


def settings(**more: object) -> Settings:
    origins = [{"name": "pacs", "url": "http://pacs.example", "limits": more.pop("limits", {})}]
    return Settings(origins=origins, **more)  # type: ignore[arg-type]  # parsed


@pytest.mark.parametrize(
    ("whole", "count", "parts"),
    [(8, 1, [8]), (8, 2, [4, 4]), (8, 3, [3, 3, 2]), (1, 3, [1, 1, 1]), (5, 4, [2, 1, 1, 1])],
)
def test_shares_make_the_whole_unless_that_is_less_than_one_each(
    whole: int, count: int, parts: list[int]
) -> None:
    assert [share(whole, number, count) for number in range(count)] == parts


def test_what_holds_for_all_together_is_divided_and_what_holds_for_a_caller_is_not() -> None:
    given = settings(
        workers={"http": 3, "number": 4},
        limits={"in_flight": 32, "per_second": 10, "forwarded": 256},
        bounds={"connections": 100, "connections_per_address": 6},
        traces={"endpoint": "http://collector/v1/traces", "joined": 2},
    )
    parts = [part_of(given, number, 3, 300 * MIB + 1) for number in range(3)]
    assert [part.cache.bytes for part in parts] == [100 * MIB + 1, 100 * MIB, 100 * MIB]
    assert [part.workers.number for part in parts] == [2, 1, 1]
    assert [part.origins[0].limits.in_flight for part in parts] == [11, 11, 10]
    assert [part.origins[0].limits.per_second for part in parts] == [4, 3, 3]
    assert [part.origins[0].limits.forwarded for part in parts] == [86, 85, 85]
    assert [part.bounds.connections for part in parts] == [34, 33, 33]
    assert [part.traces.joined for part in parts] == [1, 1, 0]
    for name in ("waiting", "sending", "uploads", "plans", "planned_frames"):
        assert sum(getattr(part.bounds, name) for part in parts) == getattr(given.bounds, name)
    for part in parts:
        assert part.bounds.connections_per_address == 6
        assert part.bounds.waiting_per_caller == given.bounds.waiting_per_caller
        assert part.listen == given.listen
        assert part.origins[0].url == given.origins[0].url


def test_no_bound_stays_no_bound_and_each_worker_can_fetch() -> None:
    given = settings(limits={"in_flight": 4})
    part = part_of(given, 1, 2, MIB)
    assert part.bounds.connections is None
    assert part.origins[0].limits.per_second is None
    assert part.origins[0].limits.in_flight == 3


@pytest.mark.parametrize(("quota", "most"), [("150000 100000", 2), ("50000 100000", 1), ("100000 100000", 1)])
def test_cores_are_those_that_the_container_may_use(tmp_path: Path, quota: str, most: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores(file) == min(most, cores(tmp_path / "none"))
    assert workers_of(settings(workers={"http": "cores"}), file) == cores(file)


@pytest.mark.parametrize("quota", ["max 100000", "", "1", "x y", "100000 0"])
def test_without_a_quota_all_cores_count(tmp_path: Path, quota: str) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores(file) == cores(tmp_path / "none") >= 1


@pytest.mark.parametrize("number", [0, -1, 257, "all", 1.5])
def test_another_number_of_workers_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="workers"):
        settings(workers={"http": number})


def test_one_worker_is_the_default() -> None:
    assert workers_of(settings()) == 1

"""The progress of several workers is one."""

from typing import Any

from proxy.service.several.share import part_of
from proxy.service.several.speaker import merged_progress
from proxy.settings.model import Settings


def of(state: str, **more: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("studies", "done", "skipped", "failed", "bytes", "requests"), 1)
    times = dict.fromkeys(("began", "ended", "next"))
    return {"name": "worklist", "state": state, "error": ""} | counts | times | more


def test_numbers_are_summed_and_one_that_runs_is_not_over() -> None:
    early, late = "2026-03-01T05:00:00Z", "2026-03-01T05:10:00Z"
    reports = [
        [of("done", began=late, ended=late)],
        [of("running", began=early, error="OriginBusy", studies=4)],
    ]
    [told] = merged_progress(reports)
    assert (told["state"], told["studies"], told["done"], told["error"]) == ("running", 5, 2, "OriginBusy")
    assert (told["began"], told["ended"], told["next"]) == (early, None, None)
    [over] = merged_progress([[of("done", ended=early)], [of("failed", ended=late)]])
    assert (over["state"], over["ended"]) == ("failed", late)


def test_budgets_are_divided() -> None:
    warm = [
        {"name": "a", "search": {"PatientID": "1"}, "budget": 100, "requests": 7},
        {"name": "b", "search": {"PatientID": "1"}},
    ]
    settings = Settings(origins=[{"url": "http://pacs.example"}], warm=warm)
    parts = [part_of(settings, number, 3, 3_000_000).warm for number in range(3)]
    assert [sum(part[0].budget for part in parts), sum(part[0].requests or 0 for part in parts)] == [100, 7]
    assert {part[1].requests for part in parts} == {None}

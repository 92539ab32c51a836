import functools
import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from coverage import Coverage
from fastapi.dependencies import models
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent

# A deadline would fail an example because the machine is busy, and so would the check of how fast they come.
settings.register_profile("ours", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fails a test in which our own code makes a blocking call inside an event loop.

    Under coverage locks are not looked at. Its tracer takes a lock of its own in our functions, which now and
    then another thread holds, and it seems as if our function waited.
    """
    guard = BlockBuster("proxy")
    if Coverage.current():
        for name in [name for name in guard.functions if name.startswith("threading.Lock.")]:
            del guard.functions[name]
    guard.activate()
    try:
        yield guard
    finally:
        guard.deactivate()


def pytest_runtest_logfinish() -> None:
    """Lets go of the apps that tests have built, which FastAPI's caches of thousands of functions hold.

    Without this a process grows to 1 GiB, and each collection of garbage takes seconds.
    """
    for kept in vars(models).values():
        if isinstance(kept, functools._lru_cache_wrapper):
            kept.cache_clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what needs servers, encoders, a browser or the tools of the charts."""
    for item in items:
        if not item.path.is_relative_to(TESTS / "unit") and not item.path.is_relative_to(TESTS / "stories"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Spares each collection of garbage the look at thousands of tests, which stay."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each kind of skipped test, and not one for each place in the code."""
    reports = terminalreporter.getreports("skipped")
    kinds = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)
    for reason, count in kinds.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")

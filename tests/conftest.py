from collections import Counter
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

# A deadline would fail an example because the machine is busy.
settings.register_profile("ours", deadline=None, database=None)
settings.load_profile("ours")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fails a test in which our own code makes a blocking call inside an event loop."""
    with blockbuster_ctx("proxy") as guard:
        yield guard


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each kind of skipped test, and not one for each place in the code."""
    reports = terminalreporter.getreports("skipped")
    kinds = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)
    for reason, count in kinds.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")

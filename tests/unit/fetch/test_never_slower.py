"""A cold proxy is never slower than none: the grid of loads, in virtual time, so on any machine the same.

`python -m tests.bench grid` plays all of it. This is a part of it, with smaller loads.
"""

from dataclasses import replace

import pytest

from tests.simulation.grid import NETWORKS, play
from tests.simulation.load import Load

pytestmark = pytest.mark.slow

SIZES = (8192, 27_648, 65_536, 93_312, 131_072, 173_000, 186_000, 234_000, 365_000, 1_000_000, 6_000_000)
MOST_BYTES = 5_000_000


@pytest.mark.parametrize("connections", [1, 6, 24])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_cold_proxy_is_never_slower_than_none(network: object, connections: int) -> None:
    assert network in NETWORKS
    line = next(each for each in NETWORKS if each is network)
    for size in SIZES:
        whole = Load(size, max(1, min(400, MOST_BYTES // size)), connections, "whole")
        for load in (whole, replace(whole, way="ranged")):
            cell = play(line, load)
            assert cell.excess <= 0, cell


def test_the_same_load_takes_the_same_time_again() -> None:
    load = Load(234_000, 20, 6, "whole")
    assert play(NETWORKS[0], load) == play(NETWORKS[0], load)

import math
import pickle

import pytest

from proxy.errors import ConfigurationError
from proxy.measure.network import PRESETS, parse_network


def test_4g_is_cornerstones() -> None:
    network = parse_network("4g")
    assert (network.down, network.up, network.latency) == (30e6, 5e6, 0.010)
    assert network.limit(11_100_000) == pytest.approx(2.97)


def test_local_has_no_link() -> None:
    assert not parse_network("local").is_shaped
    assert parse_network("4g").is_shaped


def test_a_network_of_its_own_figures() -> None:
    network = parse_network("50/10.5/20ms")
    assert (network.name, network.down, network.up, network.latency) == ("50/10.5/20ms", 50e6, 10.5e6, 0.02)


@pytest.mark.parametrize(
    "text", ["", "5g", "50/10/20", "0/10/20ms", "50/0/20ms", "1_0/1/1ms", "-1/1/1ms", "٣/1/1ms"]
)
def test_what_is_no_network_is_told_the_names(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"4g, slow-3g, hospital-lan, local, .*50/10/20ms"):
        parse_network(text)


def test_every_preset_says_what_it_is_and_travels_to_a_process() -> None:
    for name, network in PRESETS.items():
        assert network.describe().startswith(name)
        assert pickle.loads(pickle.dumps(network)) == network
        assert network.limit(0) == network.latency
    assert math.isinf(PRESETS["local"].down)

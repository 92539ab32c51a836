"""Networks between a viewer and its server, and the best time that each allows."""

import math
import re
from dataclasses import dataclass

from proxy.errors import ConfigurationError

_NUMBER = r"([0-9]{1,5}(?:\.[0-9]{1,2})?)"
_CUSTOM = re.compile(rf"{_NUMBER}/{_NUMBER}/{_NUMBER}ms", re.ASCII)


@dataclass(frozen=True, slots=True)
class Network:
    """One network between two ends. It has no loss and does not vary."""

    name: str
    """Name for command lines and output."""
    down: float
    """Bits per second towards the viewer."""
    up: float
    """Bits per second towards the origin."""
    latency: float
    """Seconds of one round trip; each way takes half."""

    @property
    def is_shaped(self) -> bool:
        """True if the network limits the rate."""
        return math.isfinite(self.down)

    def limit(self, size: int) -> float:
        """Returns the least seconds from a request to the last of `size` bytes of its response.

        >>> round(PRESETS["4g"].limit(65536), 6)
        0.027476
        """
        return self.latency + size * 8 / self.down

    def describe(self) -> str:
        """Returns a description for people.

        >>> PRESETS["4g"].describe()
        '4g: 30 Mbit/s down, 5 up, 10 ms latency'
        """
        if not self.is_shaped:
            return f"{self.name}: no link"
        down, up = self.down / 1e6, self.up / 1e6
        said = f"{down:.8g} Mbit/s down, {up:.8g} up, {self.latency * 1e3:.8g} ms latency"
        return f"{self.name}: {said}" if self.name in PRESETS else said


PRESETS = {
    network.name: network
    for network in (
        # Cornerstone3D's own figures for its tables of progressive loading.
        Network("4g", down=30e6, up=5e6, latency=0.010),
        # WebPageTest's figures for a slow 3G connection.
        Network("slow-3g", down=0.4e6, up=0.4e6, latency=0.400),
        # One workstation's share of a hospital's network.
        Network("hospital-lan", down=100e6, up=100e6, latency=0.002),
        Network("local", down=math.inf, up=math.inf, latency=0.0),
    )
}
"""Networks by name."""


def parse_network(text: str) -> Network:
    """Parses a preset's name, or Mbit/s down, Mbit/s up and the round trip. Raises `ConfigurationError`.

    >>> parse_network("50/10/20ms").limit(0)
    0.02
    """
    if text in PRESETS:
        return PRESETS[text]
    match = _CUSTOM.fullmatch(text)
    if match is None or float(match[1]) == 0 or float(match[2]) == 0:
        names = ", ".join(PRESETS)
        raise ConfigurationError(f"network {text!r}: must be {names}, or down/up/latency such as 50/10/20ms")
    down, up, latency = (float(part) for part in match.groups())
    return Network(text, down * 1e6, up * 1e6, latency / 1e3)

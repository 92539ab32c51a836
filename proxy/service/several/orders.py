"""The orders with which a worker starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.settings.model import Settings


@dataclass(frozen=True)
class Orders:
    """All that a worker gets from its parent at its start."""

    settings: Settings
    """Its part of the settings."""
    number: int
    """Its number, from 0."""
    via: str
    """The pseudonym of the service, by which loops are found."""
    key: bytes = field(repr=False)
    """The key of the HMACs that stand for callers, unless a file has it. All workers name a caller alike."""
    path: Path | None
    """The configuration, whose changes it takes into force."""
    viewers: int
    """The descriptor of the socket that listens for viewers; workers share it."""
    control: int
    """The descriptor of its end of the channel to the parent."""
    inboxes: Mapping[int, int]
    """By worker, the descriptor by which connections are handed over."""
    inbox: int
    """The descriptor from which it takes them."""

"""Builds the cache from the settings: memory, and the tiers behind it."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from proxy.cache.memory import MemoryStore
from proxy.cache.store import Store
from proxy.cache.tier import Tier
from proxy.cache.tiers import TieredStore
from proxy.frame.key import FrameKey
from proxy.service.access import key_in
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry

TiersOf = Callable[[Settings, Telemetry], Sequence[Tier]]


def store_of(settings: Settings, budget: int, tiers_of: TiersOf, telemetry: Telemetry) -> Store:
    """The cache of `budget` bytes in memory, with its tiers. Raises `ConfigurationError`."""
    cache = settings.cache
    stale = None if cache.disk.path is None else cache.disk.ttl
    memory = MemoryStore(budget, cache.first_share, cache.ttl, telemetry, stale_ttl=stale)
    tiers = tiers_of(settings, telemetry)
    return TieredStore(memory, tiers, telemetry) if tiers else memory


def tiers_of(settings: Settings, telemetry: Telemetry) -> Sequence[Tier]:
    """The tiers, from near to far. Reads keys, which blocks. Raises `ConfigurationError`."""
    said, key_file = settings.cache.disk, settings.access.key_file
    if said.path is None or key_file is None:
        return ()
    from proxy.cache.disk import Disk  # its libraries are loaded only if a setting needs them
    from proxy.cache.sealed import Names

    key, secret = key_in(key_file), None
    if said.encryption_key_file is not None:
        secret = key_in(said.encryption_key_file, "cache.disk.encryption_key_file")
    names = Names(key, made_from(settings))
    share = settings.cache.first_share
    return (Disk(said.path, said.bytes, share, said.ttl, names, key, secret, telemetry),)


def made_from(settings: Settings) -> Callable[[FrameKey], str]:
    """Tells what a frame under a key depends on beside the key. If that changes, the frame is another one.

    A tier outlives a change of settings. Another origin may have got the name of an old one, an alternate may
    be made in another way, and with another policy other callers share a partition.
    """
    origins = {
        origin.name: repr(
            (settings.access.policy, origin.url, origin.labels, origin.trust, origin.credentials)
        )
        for origin in settings.origins
    }
    offered = {each.path: repr(each) for each in settings.offered}
    release = version("progressive-proxy")

    def of(key: FrameKey) -> str:
        made = f"{release} {offered.get(key.frames_path)}" if key.frames_path else ""
        return f"{origins[key.origin]} {made}"

    return of

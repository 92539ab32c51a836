"""Builds the cache from the settings: memory, and the tiers behind it."""

import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from proxy.cache.memory import MemoryStore
from proxy.cache.store import Store
from proxy.cache.tier import Tier
from proxy.cache.tiers import TieredStore
from proxy.errors import ConfigurationError
from proxy.frame.key import FrameKey
from proxy.origin.rotation import Files
from proxy.service.access import key_in
from proxy.service.objects import objects_of
from proxy.settings.model import Settings
from proxy.settings.shared import SharedSettings
from proxy.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from proxy.cache.sealed import Names

TiersOf = Callable[[Settings, Telemetry], Sequence[Tier]]


def store_of(settings: Settings, budget: int, tiers_of: TiersOf, telemetry: Telemetry) -> Store:
    """The cache of `budget` bytes in memory, with its tiers. Raises `ConfigurationError`."""
    cache, held = settings.cache, stale_ttl(settings)
    memory = MemoryStore(
        budget, cache.first_share, cache.ttl, telemetry, stale_ttl=held, if_error=cache.stale
    )
    tiers = tiers_of(settings, telemetry)
    return TieredStore(memory, tiers, telemetry) if tiers else memory


def tiers_of(settings: Settings, telemetry: Telemetry) -> Sequence[Tier]:
    """The tiers, from near to far. Reads keys, which blocks. Raises `ConfigurationError`."""
    key_file, disk, shared = settings.access.key_file, settings.cache.disk, settings.cache.shared
    objects = settings.cache.objects
    if key_file is None or not (disk.path or shared.url or objects.url):
        return ()
    from proxy.cache.sealed import Names  # its libraries are loaded only if a setting needs them

    key = key_in(key_file)
    names = Names(key, made_from(settings))
    tiers: list[Tier] = []
    if disk.path is not None:
        from proxy.cache.disk import Disk

        secret = None
        if disk.encryption_key_file is not None:
            secret = key_in(disk.encryption_key_file, "cache.disk.encryption_key_file")
        share = settings.cache.first_share
        tiers.append(Disk(disk.path, disk.bytes, share, disk.ttl, names, key, secret, telemetry))
    if shared.url is not None:
        tiers.append(shared_of(shared, names, key))
    if objects.url is not None:
        tiers.append(objects_of(objects, names, key))
    return tiers


def shared_of(said: SharedSettings, names: "Names", key: bytes) -> Tier:
    """The tier that replicas share. Reads files, which blocks. Raises `ConfigurationError`."""
    try:
        from proxy.cache.patience import Patience
        from proxy.cache.server import Address, Login, Server
        from proxy.cache.shared import Shared
    except ImportError as error:
        raise ConfigurationError(
            "cache.shared: needs a client: pip install 'progressive-proxy[shared]'"
        ) from error
    assert said.url is not None
    try:
        address = Address.of(said.url)
    except ValueError as error:
        raise ConfigurationError(f"cache.shared.url: {error}") from error
    login = Login(said.user, _password(said), said.ca_file, said.certificate_file, said.key_file)
    patience = Patience(said.first_ms / 1000, said.wait_ms / 1000)
    return Shared(Server(address, login), names, key, said.ttl, patience)


def _password(said: SharedSettings) -> str | None:
    if said.password_env is not None:
        if said.password_env not in os.environ:
            raise ConfigurationError(f"cache.shared.password_env: {said.password_env} is not set")
        return os.environ[said.password_env]
    if said.password_file is None:
        return None
    try:
        return Files((said.password_file,), lambda contents: contents[0]).read().decode().rstrip("\r\n")
    except (ConfigurationError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cache.shared.password_file: {error}") from error


def stale_ttl(settings: Settings) -> float | None:
    """Seconds for which a frame may be revalidated, as long as a tier keeps it; None if there is no tier."""
    disk, shared, objects = settings.cache.disk, settings.cache.shared, settings.cache.objects
    tiers = ((disk, disk.path), (shared, shared.url), (objects, objects.url))
    ttls = [tier.ttl for tier, is_on in tiers if is_on is not None]
    return max(ttls, default=None)


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
    converted = settings.converted
    release = version("progressive-proxy")

    def of(key: FrameKey) -> str:
        made = f"{release} {offered.get(key.frames_path)}" if key.frames_path else ""
        if key != key.source(converted) and not made:
            made = f"{release} HTJ2K"
        return f"{origins[key.origin]} {made}"

    return of

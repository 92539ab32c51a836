"""The cache as frozen values: memory, and the tiers behind it. Imports pydantic."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from proxy.plan.kinds import ByteCount, CacheBytes, FrozenModel, Seconds
from proxy.settings.objects import ObjectsSettings
from proxy.settings.shared import SharedSettings

MIB = 1024**2
GIB = 1024**3


class DiskSettings(FrozenModel):
    """A cache on disk behind memory, which outlives the process; off unless it has a path."""

    path: Path | None = None
    """Directory for frames, which the proxy makes; it needs `access.key_file`, which names files and rows."""
    bytes: ByteCount = Field(10 * GIB, ge=64 * MIB)
    """Maximum bytes of the directory, as near as SQLite keeps to it."""
    ttl: Seconds = Field(604800.0, gt=0)
    """Seconds for which a frame lies on disk; older than `cache.ttl`, it is used once it is revalidated."""
    encryption_key_file: Path | None = None
    """File of at least 32 random bytes, the key that encrypts pixels on disk; without it they lie open."""

    @model_validator(mode="after")
    def _has_path(self) -> Self:
        if self.path is None and self.model_fields_set:
            raise ValueError("path: must be set, or the section left out")
        return self


class CacheSettings(FrozenModel):
    """The memory cache, and the tiers behind it."""

    bytes: CacheBytes = "auto"
    """Memory for frames, cached or on their way; `auto` fits the container's limit (without one: 1 GiB)."""
    first_share: float = Field(0.5, ge=0, le=1)
    """Share of `cache.bytes` up to which first bytes of frames displace remainders of frames."""
    ttl: Seconds = Field(3600.0, gt=0)
    """Seconds after which a cached frame is fetched again."""
    stale: Seconds = Field(3600.0, ge=0)
    """Seconds for which a frame that is no longer fresh is still sent if the origin is down; 0 is never."""
    study_ttl: Seconds = Field(30.0, ge=0)
    """Seconds for which metadata, searches, pictures of a study are used without a request."""
    study_stale: Seconds = Field(300.0, ge=0)
    """Seconds after `study_ttl` for which they are used while the proxy asks the origin if they changed."""
    search_ttl: Seconds = Field(3.0, ge=0)
    """Seconds for which a search of the whole archive is used without a request, for the same caller."""
    study_bytes: ByteCount = Field(32 * MIB, ge=0)
    """Maximum bytes of such a response that is kept; a longer one passes; 0 keeps none."""
    instances: ByteCount = Field(MIB, ge=0)
    """Maximum bytes of a response with whole instances that is kept; 0 keeps none."""
    disk: DiskSettings = DiskSettings()
    """A cache on disk behind memory, which outlives the process; off unless it has a path."""
    shared: SharedSettings = SharedSettings()
    """A cache at a Valkey or Redis server behind memory and disk, which replicas share; off without a URL."""
    objects: ObjectsSettings = ObjectsSettings()
    """A cache in an object store with the S3 API behind the others, which sites share; off without a URL."""

"""The section `cache.objects`: a cache in an object store. Imports pydantic."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from proxy.plan.kinds import FrozenModel, Seconds, Spelled
from proxy.settings.urls import Origin
from proxy.settings.via import Via, ViaSettings

Bucket = Annotated[
    str,
    Spelled(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?",
        "must be s3:// and a bucket, with a path if it needs one, such as s3://bucket/frames",
    ),
]
"""A bucket, or a part of it."""


class ObjectsSettings(FrozenModel):
    """A cache in an object store with the S3 API behind the others, which sites share; off without a URL."""

    url: Bucket | None = None
    """Bucket, and the part of it to use, such as s3://bucket/frames; it needs `access.key_file`."""
    region: Annotated[str, Spelled(r"[A-Za-z0-9-]+", "must be a region, such as us-east-1")] | None = None
    """Region of the bucket; without it that of `AWS_REGION`, or us-east-1."""
    endpoint: Origin | None = None
    """URL of a server that speaks S3, such as MinIO; without it that of `AWS_ENDPOINT_URL`, or AWS."""
    credentials_file: Path | None = None
    """File with an access key as AWS tools have it, read again when it changes; else the environment's."""
    ca_file: Path | None = None
    """Certificate authorities that the server is checked against, in addition to the system's."""
    via: Via = ViaSettings()
    """HTTP proxy on the way to the server: its URL, or `environment`."""
    ttl: Seconds = Field(2592000.0, ge=1)
    """Seconds for which a frame in the store counts; older than `cache.ttl`, it is used once revalidated."""
    first_ms: float = Field(100.0, gt=0, le=600000)
    """Maximum milliseconds that a viewer waits for the store before the proxy asks the origin."""

    @model_validator(mode="after")
    def _has_url(self) -> Self:
        if self.url is None and self.model_fields_set:
            raise ValueError("url: must be set, or the section left out")
        if self.ca_file is not None and (self.endpoint or "").startswith("http:"):
            raise ValueError("ca_file: only an https endpoint has a certificate")
        return self

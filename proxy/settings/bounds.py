"""The bounds of the service as frozen values. Imports pydantic."""

from pydantic import Field

from proxy.plan.kinds import FrozenModel


class BoundsSettings(FrozenModel):
    """How much may be under way at once; beyond a caller's bound a request gets 429, beyond another 503."""

    connections: int | None = Field(None, ge=1)
    """Maximum connections of viewers; by default, and at most, as many as the process's open files allow."""
    connections_per_address: int | None = Field(None, ge=1)
    """Maximum connections of viewers from one address; none, since a server in front is one address."""
    waiting: int = Field(8192, ge=1)
    """Maximum requests of viewers that wait for an origin or read what it sends; hits do not count."""
    waiting_per_caller: int = Field(1024, ge=1)
    """The same for each caller with a credential."""
    sending: int = Field(8192, ge=1)
    """Maximum responses of more than 1 MiB that are being sent from the cache."""
    sending_per_caller: int = Field(1024, ge=1)
    """The same for each caller with a credential."""
    uploads: int = Field(128, ge=1)
    """Maximum uploads and other requests that may change an origin."""
    uploads_per_caller: int = Field(32, ge=1)
    """The same for each caller with a credential."""
    plans: int = Field(1024, ge=1)
    """Maximum plans that run, started by a request or by a profile."""
    plans_per_caller: int = Field(256, ge=1)
    """The same for each caller with a credential."""
    planned_frames: int = Field(1_000_000, ge=1)
    """Maximum frames of all plans that run."""
    planned_frames_per_caller: int = Field(250_000, ge=1)
    """The same for each caller with a credential."""
    operators: int = Field(64, ge=1)
    """Maximum requests of operators, such as for plans and purges; health and metrics do not count."""
    streams: int = Field(16, ge=1)
    """Maximum streams of `/v1/status/events` at once; each of them takes a place of `operators` too."""

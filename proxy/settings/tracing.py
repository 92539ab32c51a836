"""The section `traces`. Imports pydantic."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from proxy.plan.kinds import FrozenModel
from proxy.settings.urls import Endpoint
from proxy.settings.via import Via, ViaSettings


class TracesSettings(FrozenModel):
    """Spans of distributed traces, exported to a collector by OTLP over HTTP; off without an endpoint."""

    endpoint: Endpoint | None = None
    """URL that takes traces, with its path, such as http://collector:4318/v1/traces."""
    share: float = Field(0.01, ge=0, le=1)
    """Share of the requests without a trace context that are recorded; 1 is all of them."""
    joined: int = Field(10, ge=0)
    """Maximum traces per second that are recorded because a viewer's `traceparent` asks for it."""
    headers_file: Path | None = None
    """File with the collector's headers, one per line, as `Authorization: Bearer …`; read for each export."""
    ca_file: Path | None = None
    """Certificate authorities that an https endpoint is checked against, instead of the system's."""
    via: Via = ViaSettings()
    """HTTP proxy on the way to the collector: its URL, or `environment`."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.endpoint is None and self.model_fields_set - {"endpoint"}:
            raise ValueError("endpoint: must be set, or the section left out")
        if self.ca_file is not None and not (self.endpoint or "").startswith("https:"):
            raise ValueError("ca_file: only an https endpoint can have it")
        return self

"""Writes the chart's values.schema.json from the program's settings and the chart's own values.

`python -m tests.chart.values_schema`
"""

import json
from inspect import ismethod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from proxy.measure.network import PRESETS
from proxy.plan import values
from proxy.plan.profile import FrozenModel
from proxy.settings.model import Settings
from proxy.telemetry.metrics import Metrics

CHART = Path(__file__).parents[2] / "charts" / "progressive-proxy"
SCHEMA = CHART / "values.schema.json"

Kubernetes = dict[str, Any]
"""An object of Kubernetes, which validates it itself."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


def _buckets() -> tuple[str, ...]:
    histogram = Metrics().first_delivery.labels("", "")
    samples = [sample for metric in histogram.collect() for sample in metric.samples]
    return tuple(sample.labels["le"] for sample in samples if sample.labels.get("le", "+Inf") != "+Inf")


Uid = Annotated[str, Field(pattern=r"^[0-9.]{0,64}$")]
Bucket = Annotated[str, Field(json_schema_extra={"enum": list(_buckets())})]
Share = Annotated[float, Field(ge=0.94, lt=1)]
"""Share of deliveries. Below 0.94 the error budget could never burn fourteen times too fast."""


class Image(FrozenModel):
    repository: Annotated[str, Field(min_length=1)]
    tag: str
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")]
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]  # noqa: N815  # Kubernetes' word


class Admin(FrozenModel):
    secret: str
    create: bool


class Disk(FrozenModel):
    volume: Kubernetes


class Autoscaling(FrozenModel):
    enabled: bool
    min: int = Field(ge=1)
    max: int = Field(ge=1)
    cpu: int = Field(ge=1)


class ServiceAccount(FrozenModel):
    name: str
    annotations: dict[str, str]


class Service(FrozenModel):
    port: int = Field(ge=1, le=65535)
    annotations: dict[str, str]


class NetworkPolicy(FrozenModel):
    enabled: bool | Literal["auto"]
    ingress: list[Kubernetes]
    viewers: list[Kubernetes]
    metrics: list[Kubernetes]
    origins: list[Kubernetes]


class Monitoring(FrozenModel):
    enabled: bool
    labels: dict[str, str]
    tlsConfig: Kubernetes  # noqa: N815  # the operator's word
    interval: Annotated[str, Field(pattern="^[0-9]+(s|m)$")]


class Objective(FrozenModel):
    within: Bucket
    share: Share


class Objectives(FrozenModel):
    first: Objective
    final: Objective


class Dashboards(FrozenModel):
    enabled: bool
    labels: dict[str, str]
    annotations: dict[str, str]


class Measure(FrozenModel):
    enabled: bool
    network: Annotated[str, Field(pattern=rf"^({'|'.join(PRESETS)}|[^\s/]+/[^\s/]+/[^\s/]+)$")]
    study: Uid
    series: Uid


class Values(FrozenModel):
    """All values. values.yaml has their descriptions and defaults."""

    mode: Literal["sidecar", "standalone"]
    image: Image
    config: Settings
    secrets: list[Name]
    admin: Admin
    disk: Disk
    env: list[Kubernetes]
    resources: Kubernetes
    startupSeconds: int = Field(ge=1)  # noqa: N815  # as Kubernetes spells
    replicas: int = Field(ge=1)
    autoscaling: Autoscaling
    podSpec: Kubernetes  # noqa: N815
    serviceAccount: ServiceAccount  # noqa: N815
    service: Service
    networkPolicy: NetworkPolicy  # noqa: N815
    monitoring: Monitoring
    objectives: Objectives
    dashboards: Dashboards
    measure: Measure
    handed_down: Kubernetes | None = Field(None, alias="global")


class AsWritten(GenerateJsonSchema):
    """The schema of values as written in the file, if the program accepts more than the resulting type."""

    READ_FROM: ClassVar[dict[Any, JsonSchemaValue]] = {
        values.byte_count: {"type": ["integer", "string"]},
        values.cache_bytes: {"type": ["integer", "string"]},
        values.first: {"type": ["integer", "string", "object"]},
        values.image_quality: {"type": ["number", "string"]},
        values.request_type: {"type": "string"},
        values.off: {"enum": ["strict", "length", "off", False, None]},
    }

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        function = schema["function"]["function"]
        # A model's own validator accepts no other type. A field may say what its validator accepts.
        if ismethod(function) or "json_schema_input_schema" in schema:
            return super().function_before_schema(schema)
        return dict(self.READ_FROM.get(function, {}))

    def generate(self, schema: core_schema.CoreSchema, mode: Any = "validation") -> JsonSchemaValue:
        return {"$schema": "http://json-schema.org/draft-07/schema#"} | super().generate(schema, mode)


def text() -> str:
    """The contents of the schema's file."""
    schema = Values.model_json_schema(schema_generator=AsWritten)
    return json.dumps(_without_titles(schema), indent=1, ensure_ascii=False) + "\n"


def _without_titles(schema: Any) -> Any:
    """Removes titles, which repeat the key, and defaults beside a reference, which draft 7 ignores."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    is_named = isinstance(schema.get("title"), str)
    kept = {key: each for key, each in schema.items() if not (is_named and key == "title")}
    kept.pop("default", None) if "$ref" in kept else None
    return {key: _without_titles(each) for key, each in kept.items()}


if __name__ == "__main__":
    SCHEMA.write_text(text(), "utf-8")

"""Writes the chart's values.schema.json from the program's settings and the chart's own values.

`python -m tests.chart.values_schema`
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from proxy.measure.network import PRESETS
from proxy.plan.kinds import FrozenModel
from proxy.settings.model import Settings
from proxy.telemetry.deliveries import BUCKETS

CHART = Path(__file__).parents[2] / "charts" / "progressive-proxy"
SCHEMA = CHART / "values.schema.json"

Kubernetes = dict[str, Any]
"""An object of Kubernetes, which validates it itself."""
NameOrNone = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


Uid = Annotated[str, Field(pattern=r"^[0-9.]{0,64}$")]
Bucket = Annotated[str, Field(json_schema_extra={"enum": list(BUCKETS[:-1])})]
UrlPath = Annotated[str, Field(pattern="^/")]
Url = Annotated[str, Field(pattern="^https?://")]
Share = Annotated[float, Field(ge=0.94, lt=1)]
"""Share of deliveries. Below 0.94 the error budget could never burn fourteen times too fast."""


class Image(FrozenModel):
    registry: str
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
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    port: int = Field(ge=1, le=65535)
    nodePort: int = Field(ge=0, le=65535)  # noqa: N815
    spec: Kubernetes
    annotations: dict[str, str]
    labels: dict[str, str]
    trafficDistribution: str  # noqa: N815
    sessionAffinity: Literal["None", "ClientIP"]  # noqa: N815


class Ingress(FrozenModel):
    enabled: bool
    className: str  # noqa: N815
    annotations: dict[str, str]
    labels: dict[str, str]
    hosts: list[str]
    path: UrlPath
    tls: list[Kubernetes]


class HttpRoute(FrozenModel):
    enabled: bool
    annotations: dict[str, str]
    labels: dict[str, str]
    parentRefs: list[Kubernetes]  # noqa: N815
    hostnames: list[str]
    path: UrlPath
    timeouts: dict[str, str]


class Probes(FrozenModel):
    startup: dict[str, int]
    readiness: dict[str, int]
    liveness: dict[str, int]


class NetworkPolicy(FrozenModel):
    enabled: bool | Literal["auto"]
    ingress: list[Kubernetes]
    viewers: list[Kubernetes]
    metrics: list[Kubernetes]
    origins: list[Kubernetes]
    egress: list[Kubernetes]


class Alerts(FrozenModel):
    labels: dict[str, str]
    disabled: list[str]


class Expiry(FrozenModel):
    certificate: int = Field(ge=1)
    token: int = Field(ge=1)


class Monitoring(FrozenModel):
    enabled: bool
    labels: dict[str, str]
    tlsConfig: Kubernetes  # noqa: N815  # the operator's word
    interval: Annotated[str, Field(pattern="^[0-9]+(s|m)$")]
    endpoint: Kubernetes  # as the operator spells it
    alerts: Alerts
    runbooks: Url
    grafana: Url
    expiry: Expiry


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


class Warm(FrozenModel):
    enabled: bool
    schedule: Annotated[str, Field(min_length=9)]
    timeZone: str  # noqa: N815  # Kubernetes' word
    names: list[Name]
    caFile: Annotated[str, Field(pattern=r"^(/.+)?$")]  # noqa: N815  # as Kubernetes writes names


class Measure(FrozenModel):
    enabled: bool
    network: Annotated[str, Field(pattern=rf"^({'|'.join(PRESETS)}|[^\s/]+/[^\s/]+/[^\s/]+)$")]
    study: Uid
    series: Uid


class HandedDown(FrozenModel):
    """Values for all charts below one; others than ours have keys of their own there."""

    model_config = ConfigDict(frozen=True, extra="allow")

    imageRegistry: str  # noqa: N815
    imagePullSecrets: list[str | Kubernetes]  # noqa: N815


class Values(FrozenModel):
    """All values. values.yaml has their descriptions and defaults."""

    mode: Literal["sidecar", "standalone", "daemonset"]
    nameOverride: NameOrNone  # noqa: N815  # as charts spell
    fullnameOverride: NameOrNone  # noqa: N815
    namespaceOverride: NameOrNone  # noqa: N815
    commonLabels: dict[str, str]  # noqa: N815
    annotations: dict[str, str]
    imagePullSecrets: list[str | Kubernetes]  # noqa: N815
    image: Image
    config: Settings
    existingConfigMap: NameOrNone  # noqa: N815
    secrets: list[Name]
    admin: Admin
    disk: Disk
    env: list[Kubernetes]
    envFrom: list[Kubernetes]  # noqa: N815
    resources: Kubernetes
    securityContext: Kubernetes  # noqa: N815
    podSecurityContext: Kubernetes  # noqa: N815
    probes: Probes
    extraVolumes: list[Kubernetes]  # noqa: N815
    extraVolumeMounts: list[Kubernetes]  # noqa: N815
    extraContainers: list[Kubernetes]  # noqa: N815
    initContainers: list[Kubernetes]  # noqa: N815
    extraObjects: list[str | Kubernetes]  # noqa: N815
    podLabels: dict[str, str]  # noqa: N815
    podAnnotations: dict[str, str]  # noqa: N815
    startupSeconds: int = Field(ge=1)  # noqa: N815  # as Kubernetes spells
    replicas: int = Field(ge=1)
    workloadSpec: Kubernetes  # noqa: N815
    revisionHistoryLimit: int = Field(ge=0)  # noqa: N815
    autoscaling: Autoscaling
    podSpec: Kubernetes  # noqa: N815
    serviceAccount: ServiceAccount  # noqa: N815
    service: Service
    ingress: Ingress
    httpRoute: HttpRoute  # noqa: N815
    networkPolicy: NetworkPolicy  # noqa: N815
    monitoring: Monitoring
    objectives: Objectives
    dashboards: Dashboards
    warm: Warm
    measure: Measure
    handed_down: HandedDown = Field(alias="global")


class Draft7(GenerateJsonSchema):
    """The draft that helm knows."""

    def generate(self, schema: core_schema.CoreSchema, mode: Any = "validation") -> JsonSchemaValue:
        return {"$schema": "http://json-schema.org/draft-07/schema#"} | super().generate(schema, mode)


def text() -> str:
    """The contents of the schema's file."""
    schema = Values.model_json_schema(schema_generator=Draft7)
    # The chart has words of its own for missing origins, and for bytes of the cache that it can't read.
    size = schema["$defs"]["CacheSettings"]["properties"]["bytes"]
    del size["anyOf"]
    size["type"] = ["integer", "string"]
    del schema["$defs"]["Settings"]["required"]
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

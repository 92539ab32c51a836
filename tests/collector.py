"""A scripted collector that takes spans by OTLP over HTTP, on a real socket."""

import gzip
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.scripted_origin import Asked, Reply, ScriptedOrigin

PATH = "/v1/traces"


@dataclass
class Collector:
    """Answers each batch with `status`, once the `door` is open."""

    status: int = 200
    server: ScriptedOrigin = field(init=False)
    """The socket; `server.asked` are the requests."""

    def __post_init__(self) -> None:
        self.server = ScriptedOrigin(script=self._take)

    def _take(self, asked: Asked) -> Reply:
        return Reply(self.status, {"content-type": "application/x-protobuf"})

    @property
    def url(self) -> str:
        return self.server.url.rstrip("/") + PATH

    def batches(self) -> list[Any]:
        """What was sent, taken apart."""
        taken = []
        for asked in self.server.asked:
            assert (asked.method, asked.path) == ("POST", PATH)
            taken.append(ExportTraceServiceRequest.FromString(gzip.decompress(asked.body)))
        return taken

    def spans(self) -> list[Any]:
        return [
            span
            for batch in self.batches()
            for resource in batch.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resources(self) -> list[dict[str, str]]:
        """The attributes of each process that sent something."""
        return [
            {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for batch in self.batches()
            for resource in batch.resource_spans
        ]

"""An OTLP receiver on a port, which keeps what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SECONDS = 15.0


@dataclass(frozen=True)
class Span:
    """One span, its ids in hexadecimal digits."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: frozenset[str]
    status: str
    attributes: dict[str, Any]


class Collector:
    """What was received: spans, names of metrics, and all of it as it came."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: set[str] = set()
        self.received = b""
        self.endpoint = ""

    def take_spans(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        self.received += request
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            self.spans += [_span(service, span) for scope in resource.scope_spans for span in scope.spans]
        return b""

    def take_metrics(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        self.received += request
        resources = ExportMetricsServiceRequest.FromString(request).resource_metrics
        self.metrics |= {metric.name for each in resources for scope in each.scope_metrics for metric in scope.metrics}
        return b""

    async def trace(self, trace: str, *names: str) -> list[Span]:
        """Return the spans of one trace, as soon as those with these *names* are there that are no calls of others."""

        def found() -> list[Span]:
            return [span for span in self.spans if span.trace == trace]

        def missing() -> set[str]:
            return set(names) - {
                span.name for span in found() if span.kind != "CLIENT" or span.service == "tandem-server"
            }

        await eventually(lambda: not missing())
        return found()


async def eventually(true: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until it is *true*, which may have to be awaited."""
    async with asyncio.timeout(seconds):
        while True:
            seen = true()
            if await seen if isawaitable(seen) else seen:
                return
            await asyncio.sleep(0.05)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receive on a free port as long as the context lasts."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    for service, take in (("trace.v1.Trace", collector.take_spans), ("metrics.v1.Metrics", collector.take_metrics)):
        handlers: dict[str, Any] = {"Export": grpc.unary_unary_rpc_method_handler(take)}
        name = f"opentelemetry.proto.collector.{service}Service"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=frozenset(link.span_id.hex() for link in span.links),
        status=span.status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        attributes=_values(span.attributes),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}

"""OpenTelemetry's SDK, as Tandem runs it: nothing that happens to a collector reaches a call, or delays an exit."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from tandem_proto.exporting import BoundedProcessor, Patience, TimedReader
from tandem_proto.settings import TelemetrySettings
from tandem_proto.spans import Tracer

log = logging.getLogger(__name__)

EXPORTERS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}

EXEMPLARS: dict[str, type[ExemplarFilter]] = {
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
    "always_on": AlwaysOnExemplarFilter,
}

SWITCH_SECONDS = 0.0005
"""How long a call waits at most, each time, for a thread that encodes spans; Python's own value is ten times that."""


@contextmanager
def running(settings: TelemetrySettings, service: str, *, exposed: bool) -> Iterator[None]:
    """Collect what the block does and send it as *settings* say; *exposed* metrics are for Prometheus, too."""
    sys.setswitchinterval(SWITCH_SECONDS)
    resource = _resource(service)
    ends: list[tuple[Callable[[], None], Patience]] = []
    if protocol := settings.otlp("traces"):
        exporter = import_module(f"{EXPORTERS[protocol]}.trace_exporter").OTLPSpanExporter()
        patience = Patience()
        tracers = Tracers(resource, exporter, settings.span_queue, patience)
        trace.set_tracer_provider(tracers)
        ends.append((tracers.shutdown, patience))
    patience = Patience()
    if readers := list(_readers(settings, patience, exposed=exposed)):
        meters = MeterProvider(readers, resource, EXEMPLARS[settings.exemplars](), shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        ends.append((meters.shutdown, patience))
    try:
        yield
    finally:
        _end(ends)


class Tracers(TracerProvider):
    """Makes spans of *resource*, and hands up to *most* that wait to *exporter*, with *patience*; see `spans`."""

    def __init__(self, resource: Resource, exporter: SpanExporter, most: int, patience: Patience) -> None:
        super().__init__(resource=resource, shutdown_on_exit=False)
        limits = SpanLimits()
        processor = BoundedProcessor(exporter, most, patience, lambda noted: noted.made(resource, limits))
        self.add_span_processor(processor)
        self._tracer = Tracer(self, processor.on_end)
        self.leaf = self._tracer.leaf

    def get_tracer(self, *_args: Any, **_kwargs: Any) -> Tracer:
        """Return the tracer of all of Tandem."""
        return self._tracer


def _readers(settings: TelemetrySettings, patience: Patience, *, exposed: bool) -> Iterator[MetricReader]:
    if protocol := settings.otlp("metrics"):
        exporter = import_module(f"{EXPORTERS[protocol]}.metric_exporter").OTLPMetricExporter()
        yield TimedReader(exporter, patience)
    if exposed:
        yield PrometheusMetricReader(scope_info_enabled=False)


class _Process(Resource):
    """A resource that knows its hash: exporters ask for it at every span, and `Resource` writes JSON each time."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(dict(resource.attributes), resource.schema_url)
        self._hash = hash(resource)

    def __hash__(self) -> int:
        return self._hash


def _resource(service: str) -> Resource:
    """Return what all telemetry of this process says of it; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win."""
    told = Resource.create({SERVICE_VERSION: version(service)})
    named = not str(told.attributes[SERVICE_NAME]).startswith("unknown_service")
    return _Process(told if named else told.merge(Resource({SERVICE_NAME: service})))


def _end(ends: Sequence[tuple[Callable[[], None], Patience]]) -> None:
    """Run all *ends* at once and wait for them, but not long."""
    deadline = time.monotonic() + min((patience.seconds for _, patience in ends), default=0.0)
    threads = [threading.Thread(target=end, daemon=True) for end, _ in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        log.warning("the collector did not take the last of our telemetry in time")

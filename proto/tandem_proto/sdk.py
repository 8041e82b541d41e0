"""OpenTelemetry's SDK, as Tandem runs it: nothing that happens to a collector reaches a call, or delays an exit."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version

from opentelemetry import metrics, trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from tandem_proto.exporting import BoundedProcessor, Patience, TimedReader
from tandem_proto.settings import TelemetrySettings

log = logging.getLogger(__name__)

EXPORTERS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}

SWITCH_SECONDS = 0.0005
"""How long a call waits at most, each time, for a thread that encodes spans; Python's own value is ten times that."""

UNSET, FAILED = Status(), Status(StatusCode.ERROR)


@contextmanager
def running(settings: TelemetrySettings, service: str, *, exposed: bool) -> Iterator[None]:
    """Collect what the block does and send it as *settings* say; *exposed* metrics are for Prometheus, too."""
    sys.setswitchinterval(SWITCH_SECONDS)
    resource = _resource(service)
    ends: list[tuple[Callable[[], None], Patience]] = []
    if protocol := settings.otlp("traces"):
        exporter = import_module(f"{EXPORTERS[protocol]}.trace_exporter").OTLPSpanExporter()
        patience = Patience()
        tracers = Tracers(resource, BoundedProcessor(exporter, settings.span_queue, patience))
        trace.set_tracer_provider(tracers)
        ends.append((tracers.shutdown, patience))
    patience = Patience()
    if readers := list(_readers(settings, patience, exposed=exposed)):
        meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        ends.append((meters.shutdown, patience))
    try:
        yield
    finally:
        _end(ends)


class Tracers(TracerProvider):
    """Makes spans, those without anything inside them at once: `Tracer` takes ten times as long for one."""

    def __init__(self, resource: Resource, processor: SpanProcessor) -> None:
        super().__init__(resource=resource, shutdown_on_exit=False)
        self.add_span_processor(processor)
        self._processor = processor
        self._scope = InstrumentationScope("tandem")

    def leaf(self, name: str, attributes: tuple[tuple[str, str], ...], started: int, fault: str) -> None:
        """See `tracing.leaf`; *fault* is the error's kind, or empty."""
        parent = trace.get_current_span().get_span_context()
        own = self.id_generator.generate_span_id()
        span = ReadableSpan(
            name,
            SpanContext(parent.trace_id, own, False, parent.trace_flags, parent.trace_state),
            parent,
            self.resource,
            _bounded((*attributes, ("error.type", fault)) if fault else attributes),
            kind=SpanKind.CLIENT,
            status=FAILED if fault else UNSET,
            start_time=started,
            end_time=time.time_ns(),
            instrumentation_scope=self._scope,
        )
        self._processor.on_end(span)


@lru_cache(maxsize=512)
def _bounded(attributes: tuple[tuple[str, str], ...]) -> BoundedAttributes:
    """Return *attributes* within the limits of the environment; statements are the same again and again."""
    limits = SpanLimits()
    return BoundedAttributes(
        limits.max_span_attributes, dict(attributes), max_value_len=limits.max_span_attribute_length
    )


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

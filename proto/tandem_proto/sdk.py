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
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from tandem_proto.measuring import counted
from tandem_proto.settings import TelemetrySettings

log = logging.getLogger(__name__)

EXPORTERS = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}
FLUSH_SECONDS, HASTE_SECONDS = 2.0, 0.1
"""How long an exit waits for collectors, and how long if one of them failed before."""

SWITCH_SECONDS = 0.0005
"""How long a call waits at most, each time, for a thread that encodes spans; Python's own value is ten times that."""

SLOW_SECONDS = 1.0
"""How long a collector may take for what it is sent."""

FEW = 32
"""Spans by which a collector that failed is tried again."""

UNSET, FAILED = Status(), Status(StatusCode.ERROR)

LOST = {"queue_full": 0, "export_failed": 0}
"""How many spans no collector got, by what was in the way."""

counted(
    "tandem.lost_spans",
    "{span}",
    "Spans that no collector got, by what was in the way.",
    lambda: [(number, {"error.type": cause}) for cause, number in LOST.items()],
)


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


class Patience:
    """Whether a collector is worth waiting for: one is that took in time what it was sent last."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._failed = False

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Time what is sent as long as the context lasts."""
        self._began = began = time.monotonic()
        try:
            yield
        finally:
            self._failed, self._began = time.monotonic() - began > SLOW_SECONDS, None

    def fail(self) -> None:
        """Note that what was sent last did not arrive."""
        self._failed = True

    @property
    def failed(self) -> bool:
        """Whether what was sent last did not arrive, or late."""
        return self._failed

    @property
    def seconds(self) -> float:
        """How long to wait for the collector at an exit."""
        late = self._began is not None and time.monotonic() - self._began > SLOW_SECONDS
        return HASTE_SECONDS if late or self._failed else FLUSH_SECONDS


class BoundedProcessor(BatchSpanProcessor):
    """Hands spans over in batches, and counts those that are lost: more than *most* never wait."""

    def __init__(self, exporter: SpanExporter, most: int, patience: Patience) -> None:
        self._handed_over = _Counting(exporter, patience)
        self._most = most
        self._taken = 0
        super().__init__(self._handed_over, max_queue_size=most)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue *span*, or drop it if the queue is full."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._taken - self._handed_over.spans >= self._most:
            LOST["queue_full"] += 1
            return
        self._taken += 1
        super().on_end(span)


class _Counting(SpanExporter):
    """An exporter that counts the `spans` it was given, and those that it could not deliver."""

    def __init__(self, exporter: SpanExporter, patience: Patience) -> None:
        self._exporter = exporter
        self._patience = patience
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send *spans*; where the last ones did not arrive a few of them first, for to encode many holds up calls."""
        few, taken = FEW if self._patience.failed else len(spans), 0
        try:
            for part in filter(None, (spans[:few], spans[few:])):
                with self._patience.sending():
                    result = self._exporter.export(part)
                if result is not SpanExportResult.SUCCESS:
                    return result
                taken += len(part)
            return SpanExportResult.SUCCESS
        finally:
            self.spans += len(spans)
            if taken < len(spans):
                self._patience.fail()
                LOST["export_failed"] += len(spans) - taken

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _TimedReader(PeriodicExportingMetricReader):
    """Sends metrics now and then, and notes how long that takes."""

    def __init__(self, exporter: MetricExporter, patience: Patience) -> None:
        self._patience = patience
        super().__init__(exporter)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        with self._patience.sending():
            super()._receive_metrics(metrics_data, timeout_millis, **kwargs)


def _readers(settings: TelemetrySettings, patience: Patience, *, exposed: bool) -> Iterator[MetricReader]:
    if protocol := settings.otlp("metrics"):
        exporter = import_module(f"{EXPORTERS[protocol]}.metric_exporter").OTLPMetricExporter()
        yield _TimedReader(exporter, patience)
    if exposed:
        yield PrometheusMetricReader(scope_info_enabled=False)


def _resource(service: str) -> Resource:
    """Return what all telemetry of this process says of it; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win."""
    told = Resource.create({SERVICE_VERSION: version(service)})
    named = not str(told.attributes[SERVICE_NAME]).startswith("unknown_service")
    return told if named else told.merge(Resource({SERVICE_NAME: service}))


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

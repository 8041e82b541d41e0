"""What goes to a collector: bounded, counted where it is lost, and waited for no longer than the collector deserves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tandem_proto.measuring import counted

FLUSH_SECONDS, HASTE_SECONDS = 2.0, 0.1
"""How long an exit waits for collectors, and how long if one of them failed before."""

SLOW_SECONDS = 1.0
"""How long a collector may take for what it is sent."""

FEW = 32
"""Spans by which a collector that failed is tried again."""

LOST = {"queue_full": 0, "export_failed": 0}
"""How many spans no collector got, by what was in the way."""

counted(
    "tandem.lost_spans",
    "{span}",
    "Spans that no collector got, by what was in the way.",
    lambda: [(number, {"error.type": cause}) for cause, number in LOST.items()],
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


Make = Callable[[Any], ReadableSpan]


class BoundedProcessor(BatchSpanProcessor):
    """Has spans made and hands them over in batches, and counts those that are lost: more than *most* never wait."""

    def __init__(self, exporter: SpanExporter, most: int, patience: Patience, make: Make) -> None:
        self._handed_over = _Counting(exporter, patience, make)
        self._most = most
        self._taken = 0
        super().__init__(self._handed_over, max_queue_size=most)

    def on_end(self, span: Any) -> None:
        """Queue *span*, or drop it if the queue is full."""
        if not span.context.trace_flags.sampled:
            return
        if self._taken - self._handed_over.spans >= self._most:
            LOST["queue_full"] += 1
            return
        self._taken += 1
        super().on_end(span)


class _Counting(SpanExporter):
    """An exporter that counts the `spans` it was given, and those that it could not deliver."""

    def __init__(self, exporter: SpanExporter, patience: Patience, make: Make) -> None:
        self._exporter = exporter
        self._patience = patience
        self._make = make
        self.spans = 0

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Send *spans*; where the last ones did not arrive a few of them first, for to encode many holds up calls."""
        few, taken = FEW if self._patience.failed else len(spans), 0
        try:
            for part in filter(None, (spans[:few], spans[few:])):
                with self._patience.sending():
                    result = self._exporter.export([self._make(span) for span in part])
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


class TimedReader(PeriodicExportingMetricReader):
    """Sends metrics now and then, and notes how long that takes."""

    def __init__(self, exporter: MetricExporter, patience: Patience) -> None:
        self._patience = patience
        super().__init__(exporter)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        with self._patience.sending():
            super()._receive_metrics(metrics_data, timeout_millis, **kwargs)

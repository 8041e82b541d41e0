"""Measurements, by OpenTelemetry's metrics. Where no SDK is set up, nothing is measured and next to nothing spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

METER = metrics.get_meter("tandem")

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds that durations are sorted by."""

Labels = Mapping[str, str | int]


def seconds(name: str, description: str) -> Histogram:
    """Return the instrument of a duration in seconds."""
    return METER.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=BOUNDS)


Read = Callable[[], Iterable[tuple[float, Labels]]]
"""Returns values with their labels; it is called whenever somebody asks, in any thread."""


def observed(name: str, unit: str, description: str, read: Read) -> None:
    """Measure what *read* returns."""
    METER.create_observable_gauge(name, [_observing(read)], unit, description)


def counted(name: str, unit: str, description: str, read: Read) -> None:
    """Count as *read* does: what happens too often to be told each time."""
    METER.create_observable_counter(name, [_observing(read)], unit, description)


def _observing(read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(value, labels) for value, labels in read()]


class Tally:
    """A counter of what happened, by one label, whose values are few and known."""

    def __init__(self, name: str, unit: str, description: str, label: str) -> None:
        self._counter = METER.create_counter(name, unit, description)
        self._label = label

    def add(self, values: Iterable[str], number: int = 1) -> None:
        """Count each of *values*."""
        for value, count in Counter(values).items():
            self._counter.add(count * number, {self._label: value})

    def start(self, values: Iterable[str]) -> None:
        """Let each of *values* be seen before it first happens: what was never there cannot go up."""
        self.add(values, 0)

"""A stack that tells a collector of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from addresses import free_address
from stack import Stack

from .collector import Collector, collecting


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def stack(
    database: str, collector: Collector, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> Stack:
    return make_stack(
        make_database(database),
        otel_exporter_otlp_endpoint=collector.endpoint,
        otel_bsp_schedule_delay="100",
        otel_metric_export_interval="500",
        log_format="json",
        metrics_listen=free_address(),
    )

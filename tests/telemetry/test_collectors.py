"""A collector that is dead, or takes connections and never says a word, costs the spans that it was to get; no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import collectors
import pytest
from addresses import free_address
from conftest import new_party
from retail import hand_over
from stack import Stack

from tandem_proto.exporting import FLUSH_SECONDS, HASTE_SECONDS, Patience

from .collector import eventually
from .test_metrics import values

pytestmark = pytest.mark.usefixtures("deadline")


@pytest.mark.parametrize("collector", [collectors.dead, collectors.silent])
async def test_what_it_did_not_get_is_counted(
    collector: Callable[[], Any], make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    with collector() as endpoint:
        stack = make_stack(
            make_database("sqlite"),
            otel_exporter_otlp_endpoint=endpoint,
            otel_exporter_otlp_timeout="2",
            otel_bsp_schedule_delay="100",
            otel_bsp_max_queue_size="8",
            otel_bsp_max_export_batch_size="8",
            metrics_listen=free_address(),
        )
        async with new_party(stack).crm() as crm:
            await hand_over(crm, 5)

        async def lost() -> bool:
            told = await values(stack)
            return min(told[f"tandem_lost_spans_total {why}"] for why in ("queue_full", "export_failed")) > 0

        await eventually(lost)
        for process in (stack.gateway, stack.server):
            assert await asyncio.to_thread(process.stop) == 0


def test_an_exit_waits_for_a_collector_unless_it_failed() -> None:
    patience = Patience()
    with patience.sending():
        assert patience.seconds == FLUSH_SECONDS
    assert patience.seconds == FLUSH_SECONDS
    patience.fail()
    assert patience.seconds == HASTE_SECONDS

"""The two sides of an order's way, as programs that trace themselves: `python -m telemetry.story <collector>`.

They tell on standard output which trace is whose.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from retail import a_customer, an_order

from tandem_client import OrderStatus, StatusUpdate, Tandem
from tandem_proto.tracing import traceparent

tracer = trace.get_tracer("story")


async def sell() -> str:
    """Create a customer and an order, and return the trace's parent."""
    with tracer.start_as_current_span("sell"):
        async with Tandem(os.environ["TANDEM_GRPC"], key=os.environ["TANDEM_CRM_KEY"]) as crm:
            await crm.customers.upsert(a_customer())
            await crm.orders.create(an_order())
        return traceparent()


async def book() -> str:
    """Pull the order, acknowledge it and tell its status, and return the trace's parent."""
    with tracer.start_as_current_span("book"):
        async with Tandem(os.environ["TANDEM_GRPC"], key=os.environ["TANDEM_ERP_KEY"]) as erp:
            async with erp.orders.pull(worker="w", until_empty=True) as deliveries:
                async for delivery in deliveries:
                    await delivery.acknowledge(erp_document="SO-1")
            update = StatusUpdate(event_id="e1", erp_document="SO-1", status=OrderStatus.ORDER_STATUS_SHIPPED)
            update.occurred_at.GetCurrentTime()
            await erp.erp.update_status([update])
        return traceparent()


async def main() -> None:
    told = {"sell": await sell()}
    await asyncio.sleep(0.3)
    told["book"] = await book()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    provider = TracerProvider(resource=Resource({"service.name": "story"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1], insecure=True)))
    trace.set_tracer_provider(provider)
    asyncio.run(main())
    provider.shutdown()

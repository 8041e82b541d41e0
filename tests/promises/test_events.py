"""Promise 17: the order in which an ERP's status events arrive, and how often, makes no difference."""

from __future__ import annotations

import asyncio
import random

import pytest
from conftest import new_party
from google.protobuf.timestamp_pb2 import Timestamp
from retail import hand_over
from stack import Stack

from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.crm.v1.shipment_pb2 import Shipment, ShippedLine
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement
from tandem.erp.v1.status_update_pb2 import StatusUpdate

pytestmark = pytest.mark.usefixtures("deadline")

ORDERS = 16


def events(order: Order) -> list[StatusUpdate]:
    """What an ERP tells of an order on its way, in the order in which it happens."""
    line = order.lines[0].line_number

    def shipment(version: int) -> Shipment:
        at = Timestamp(seconds=1_700_000_000 + version)
        return Shipment(
            shipment_id="S1", shipped_at=at, carrier="X", lines=[ShippedLine(line_number=line, quantity=str(version))]
        )

    steps = [
        StatusUpdate(status=OrderStatus.ORDER_STATUS_PROCESSING),
        StatusUpdate(status=OrderStatus.ORDER_STATUS_PARTIALLY_SHIPPED, shipments=[shipment(1)]),
        StatusUpdate(invoice_number="I-1"),
        StatusUpdate(status=OrderStatus.ORDER_STATUS_SHIPPED, shipments=[shipment(2)], invoice_number="I-2"),
    ]
    for number, step in enumerate(steps):
        step.event_id, step.order_id = f"{order.id}-{number}", order.id
        step.occurred_at.seconds = 1_700_000_000 + number
    return steps


def state(order: Order) -> tuple[object, ...]:
    shipped = [(each.shipment_id, each.shipped_at.seconds, each.lines[0].quantity) for each in order.shipments]
    return order.status, sorted(order.invoice_numbers), shipped, order.lines[0].shipped_quantity


async def test_promise_17_the_order_of_arrival_does_not_matter(stacks: list[Stack]) -> None:
    """Shuffled, told twice, to two servers at once: every order ends as the one whose events came as they happened."""
    party = new_party(stacks[0])
    async with party.crm() as crm, party.worker() as here, party.worker(stacks[1]) as there:
        first, *others = await hand_over(crm, ORDERS)
        leased = await here.erp.lease("w")
        told = [
            Acknowledgement(order_id=each.order.id, lease_token=each.lease_token, erp_document=each.order.id)
            for each in leased
        ]
        await here.erp.acknowledge(told)
        for step in events(first):
            await here.erp.update_status([step])
        shuffled = [step for order in others for step in events(order) * 2]
        random.shuffle(shuffled)
        chunks = [shuffled[start : start + 5] for start in range(0, len(shuffled), 5)]
        await asyncio.gather(*((here, there)[n % 2].erp.update_status(chunk) for n, chunk in enumerate(chunks)))
        expected = state(await crm.orders.get(first.id))
        assert expected[0] == OrderStatus.ORDER_STATUS_SHIPPED
        assert {state(await crm.orders.get(order.id)) == expected for order in others} == {True}

"""What people typed stays in the database: no log line, span or metric repeats it."""

from __future__ import annotations

import secrets
from typing import Any

import aiohttp
import pytest
from conftest import Party, change_database
from contract.samples import is_plain, kinds_of, rules_of
from crm.erp import lease_one
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToJson
from integration.uploads import NDJSON, post
from webhooks.sender import sending

from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, Rejection
from tandem.erp.v1.status_update_pb2 import StatusUpdate
from tandem_client import AlreadyExists, FailedPrecondition, Internal, InvalidArgument, NotFound, Tandem

from .collector import Collector, eventually
from .test_trace import tracing

pytestmark = pytest.mark.usefixtures("deadline")

MARKER = f"mark{secrets.token_hex(6)}"
FREE = {"line", "text", "key"}


def mark(message: Any) -> None:
    """Put the marker into every field of *message* that takes any text, however deep."""
    for field in message.DESCRIPTOR.fields:
        if field_behavior_pb2.OUTPUT_ONLY not in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]:
            _mark(message, field)


def _mark(message: Any, field: FieldDescriptor) -> None:
    value, rules = getattr(message, field.name), rules_of(field)
    if is_plain(field):
        mark(value.add() if field.is_repeated else value)
    elif field.message_type and field.message_type.GetOptions().map_entry:
        value["k"] = MARKER
    elif rules.string.prefix:
        setattr(message, field.name, f"https://example.com/{MARKER}")
    elif kinds_of(rules) and set(kinds_of(rules)) <= FREE:
        setattr(message, field.name, MARKER)


def marked(message: Any, **fields: Any) -> Any:
    """Return *message* with the marker everywhere, but in those *fields* that have to be something else."""
    mark(message)
    for name in fields:
        message.ClearField(name)
    message.MergeFrom(type(message)(**fields))
    return message


async def sell(crm: Tandem) -> Order:
    """Do what goes well and what does not; refusals repeat what was typed to whoever typed it."""
    await crm.customers.upsert(marked(Customer()))
    lines = [marked(OrderLine(), quantity="6", unit_price="2.55")]
    order: Order = marked(Order(), currency="GBP", customer_id="", lines=lines)
    stored = await crm.orders.create(order)
    with pytest.raises(AlreadyExists):
        await crm.orders.create(marked(Order(), currency="EUR", customer_id="", lines=lines))
    with pytest.raises(InvalidArgument):
        await crm.orders.create(Order(external_id=f"{MARKER} ", customer_external_id=f"{MARKER}2", currency=MARKER))
    with pytest.raises(NotFound):
        await crm.customers.get(external_id=f"{MARKER}3")
    return stored


async def book(worker: Tandem) -> None:
    held = await lease_one(worker)
    ids = {"order_id": held.order.id, "lease_token": held.lease_token}
    await worker.erp.reject([marked(Rejection(), **ids, code="NO", release=True)])
    held = await lease_one(worker)
    ids = {"order_id": held.order.id, "lease_token": held.lease_token}
    await worker.erp.acknowledge([marked(Acknowledgement(), **ids)])
    update = marked(StatusUpdate(), order_id="", shipments=[], status=OrderStatus.ORDER_STATUS_SHIPPED)
    update.occurred_at.GetCurrentTime()
    await worker.erp.update_status([update])


async def send_in_bulk(party: Party, http: aiohttp.ClientSession) -> None:
    """Import a row that fits and one that does not, and send webhooks that do and do not."""
    fits = MessageToJson(marked(Customer()), preserving_proto_field_name=True, indent=None)
    rows = f'{fits}\n{{"name": "{MARKER}", "email": "{MARKER}", "{MARKER}": 1}}\n'
    assert (await post(http, rows.encode(), f"import_id={MARKER}", **NDJSON))[0] == 200
    async with sending(party) as sender:
        told = {"erp_document": f"{MARKER}4", "status": "SHIPPED", "reason": MARKER, MARKER: MARKER}
        assert await sender.outcome(f"{MARKER}8", "order.status_changed", told) == "PARKED"
        assert (await sender.tell(f"{MARKER}5", "order.status_changed", {"status": MARKER}))[0] == 400
        assert (await sender.tell(f"{MARKER}6", MARKER, told))[0] == 200


async def change(crm: Tandem, worker: Tandem, order: Order) -> None:
    await worker.erp.link_customer(order.customer_id, MARKER)
    with pytest.raises(FailedPrecondition):
        await crm.orders.amend(order.id, Order(note=f"{MARKER}7"))
    with pytest.raises(FailedPrecondition):
        await crm.orders.cancel(order.id, reason=MARKER)


async def test_what_people_typed_stays_in_the_database(
    party: Party, http: aiohttp.ClientSession, collector: Collector
) -> None:
    async with party.crm() as crm, party.worker() as worker:
        with tracing() as trace_id:
            order = await sell(crm)
            await book(worker)
            await change(crm, worker, order)
        await send_in_bulk(party, http)
        for path in (f"/v1/customers/external/{MARKER}", f"/v1/customers?email={MARKER}", f"/v1/nonsense/{MARKER}"):
            async with http.get(path) as reply:
                assert reply.status in {200, 404}
        async with http.post("/v1/customers", json={"external_id": 1, MARKER: MARKER}) as reply:
            assert reply.status == 400
        change_database(party.stack, f"UPDATE orders SET status = '{MARKER}' WHERE id = '{order.id}'")
        with tracing() as crashed, pytest.raises(Internal):
            await crm.orders.get(order.id)
    await collector.trace(trace_id, "claim", "tandem.erp.v1.ErpService/UpdateOrderStatus")
    await collector.trace(crashed, "tandem.crm.v1.CrmService/GetOrder")
    await eventually(lambda: f'"trace_id":"{crashed}"' in (party.stack.home / "server.log").read_text())
    logs = [(party.stack.home / f"{process}.log").read_bytes() for process in ("server", "gateway")]
    for private in (MARKER, party.crm_key, party.erp_key):
        assert not any(private.encode() in told for told in (collector.received, *logs))

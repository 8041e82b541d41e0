"""Promise 25: erased stays erased. A marker in every text of a customer and its orders is found nowhere afterwards."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from behind import connected
from conftest import Party
from crm.erp import lease_one
from google.protobuf.json_format import MessageToDict
from integration.uploads import CSV, NDJSON, post
from rest.test_status_table import ask
from sqlalchemy import inspect, text
from sqlalchemy import update as sql_update
from webhooks.sender import Sender, sending

from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.crm.v1.shipment_pb2 import ShippedLine
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, Rejection
from tandem.erp.v1.status_update_pb2 import StatusUpdate
from tandem_client import FailedPrecondition, Tandem
from tandem_server.storage.tables import idempotency_keys as kept

from .collector import Collector
from .test_privacy import MARKER, marked
from .test_trace import tracing

pytestmark = pytest.mark.usefixtures("deadline")

CLOSED = {
    *("id", "source", "currency", "etag", "customer_id", "requested_delivery_date", "erp", "delivery.last_code"),
    *("billing_address.country", "shipping_address.country"),
    *("shipping_amount", "shipping_tax_amount", "discount_amount", "paid_amount", "total", "subtotal", "tax_amount"),
    *(f"lines.{n}" for n in ("quantity", "unit_price", "discount_amount", "tax_amount", "amount", "shipped_quantity")),
    "shipments.lines.quantity",
}
"""Fields of strings that hold no text: ids, codes and numbers."""
TOLD = [200, 200, 200, 400, 200]
SHIPPED = {"status": "SHIPPED", "occurred_at": "2010-12-02T09:00:00Z"}


def texts_in(message: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every field of strings of *message*, set or not, however deep, with what it holds."""
    for field in message.DESCRIPTOR.fields:
        value, name = getattr(message, field.name), prefix + field.name
        if field.message_type is None:
            yield from ((name, str(each)) for each in (value if field.is_repeated else [value]) if field.type == 9)
        elif field.message_type.GetOptions().map_entry:
            yield name, str(dict(value))
        elif not field.message_type.full_name.startswith("google."):
            for each in value if field.is_repeated else [value]:
                yield from texts_in(each, f"{name}.")


def unmarked(message: Any) -> set[str]:
    return {name for name, value in texts_in(message) if MARKER not in value}


def as_json(message: Any, **more: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True) | more


def flat(document: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield what is in *document* as columns of a CSV are called."""
    for name, value in document.items():
        inner = f"{prefix}{name.removesuffix('_address')}{'_' if name.endswith('_address') else '.'}"
        yield from flat(value, inner) if isinstance(value, dict) else [(f"{prefix}{name}", str(value))]


def a_file(*customers: dict[str, str]) -> bytes:
    written = io.StringIO(newline="")
    names = dict.fromkeys(name for customer in customers for name in customer)
    writer = csv.DictWriter(written, list(names), restval="")
    writer.writeheader()
    writer.writerows(customers)
    return written.getvalue().encode()


def an_update(**fields: Any) -> StatusUpdate:
    """Return what the ERP tells of the order by its document, with a shipment of its first line."""
    update: StatusUpdate = marked(StatusUpdate(), order_id="", **fields)
    for shipment in update.shipments:
        shipment.tracking_url = f"https://example.com/{MARKER}"
        shipment.lines[0].CopyFrom(ShippedLine(line_number=1, quantity="1"))
    return update


CUSTOMER = as_json(marked(Customer()))
FILES = (
    (
        a_file(
            {**dict(flat(CUSTOMER)), "currency": "EUR"}, dict(flat(CUSTOMER)), {**dict(flat(CUSTOMER)), "currency": "?"}
        ),
        CSV,
    ),
    (f"{json.dumps(CUSTOMER)}\n{json.dumps(CUSTOMER)}\n{json.dumps(CUSTOMER | {'currency': '?'})}\n".encode(), NDJSON),
)


class Story:
    """All the ways in which a customer and its orders come, or may be told again, each with a marker in every text."""

    def __init__(self, party: Party, http: aiohttp.ClientSession, sender: Sender) -> None:
        self.party, self.http, self.sender = party, http, sender
        self.ids: list[str] = []
        self.customer_id = ""

    async def import_files(self, name: str) -> list[Any]:
        told = [await post(self.http, body, f"import_id={name}{n}", **how) for n, (body, how) in enumerate(FILES)]
        assert {status for status, _ in told} == {200}, told
        return [document for _, document in told]

    async def order(self, external_id: str) -> tuple[int, Any]:
        """Create an order by REST, under an idempotency key."""
        lines = [marked(OrderLine(), quantity="6", unit_price="2.55")]
        order = marked(Order(), external_id=external_id, currency="GBP", customer_id="", lines=lines)
        status, _, reply = await ask(
            self.http, "POST", "/v1/orders", json=as_json(order), headers={"idempotency-key": external_id}
        )
        return status, reply

    async def tell(self) -> list[int]:
        """Send the webhooks of the ERP."""
        told_of = an_update(event_id="")
        acknowledged = {"order_id": self.ids[0], "erp_document": MARKER, "customer_number": MARKER, "revision": 2}
        told = [
            ("order.status_changed", as_json(told_of) | SHIPPED),
            ("customer.linked", {"id": self.customer_id, "erp_number": MARKER}),
            ("order.acknowledged", acknowledged),
            ("order.status_changed", {"order_id": self.ids[0], "reason": MARKER, "status": "LOST"}),
            ("parcel.lost", {"of": self.customer_id, "reason": MARKER}),
        ]
        return [(await self.sender.tell(f"{MARKER}{n}", *each))[0] for n, each in enumerate(told)]

    async def sell(self, crm: Tandem) -> None:
        for external_id in (MARKER, f"{MARKER}-2"):
            status, order = await self.order(external_id)
            assert status == 201, order
            self.ids.append(order["id"])
        self.customer_id = order["customer_id"]
        await crm.orders.cancel(self.ids[1], reason=MARKER)
        path, key = f"/v1/customers/{self.customer_id}", {"idempotency-key": MARKER}
        assert (await ask(self.http, "PATCH", path, json={"name": f"{MARKER} & sons"}, headers=key))[0] == 200
        lines = [marked(OrderLine(), quantity="7", unit_price="2.55")]
        await crm.orders.amend(self.ids[0], Order(note=f"{MARKER} again", lines=lines), fields=["note", "lines"])

    async def book(self, worker: Tandem) -> None:
        for release in (True, False):
            held = await lease_one(worker)
            ids = {"order_id": held.order.id, "lease_token": held.lease_token}
            await worker.erp.reject([marked(Rejection(), **ids, code="NO", release=release)])
        held = await lease_one(worker)
        ids = {"order_id": held.order.id, "lease_token": held.lease_token}
        await worker.erp.acknowledge([marked(Acknowledgement(), **ids)])
        works = an_update(status=OrderStatus.ORDER_STATUS_PROCESSING)
        works.occurred_at.GetCurrentTime()
        await worker.erp.update_status([works])
        await worker.erp.link_customer(held.customer.id, MARKER)

    async def replies(self) -> str:
        """Return all that the API tells: of the customer, the orders, imports, events, and in exports."""
        paths = ["/v1/customers", "/v1/orders", "/v1/erp-events", f"/v1/customers/{self.customer_id}"]
        paths += [f"/v1/orders/{each}{more}" for each in self.ids for more in ("", "/events")]
        paths += [f"/v1/imports/{name}{n}{more}" for name in "ab" for n in (0, 1) for more in ("/rows", "/failed.csv")]
        paths += [f"/v1/exports/{what}{how}" for what in ("customers", "orders", "order-lines") for how in ("", ".csv")]
        key = {"authorization": f"Bearer {self.party.integration_key}"}
        told = ""
        for path in paths:
            async with self.http.get(path, headers=key) as reply:
                told += await reply.text()
                assert reply.status in (200, 404), told
        return told

    def stored(self) -> dict[str, str]:
        """Return every table of the database, as text."""
        with connected(self.party.stack.environment["TANDEM_DATABASE_URL"]) as connection:
            names = inspect(connection).get_table_names()
            return {name: repr(connection.execute(text(f"SELECT * FROM {name}")).all()) for name in names}

    def forget_whose_reply_it_is(self) -> None:
        """Make one reply what it was before replies said whom they tell of."""
        with connected(self.party.stack.environment["TANDEM_DATABASE_URL"]) as connection:
            connection.execute(sql_update(kept).where(kept.c.idempotency_key == MARKER).values(customer_id=None))

    async def traces_of_it(self, collector: Collector) -> set[str]:
        """Return where the marker is found."""
        logs = {name: (self.party.stack.home / f"{name}.log").read_text() for name in ("server", "gateway")}
        places = self.stored() | logs | {"spans": repr(collector.received), "replies": await self.replies()}
        return {place for place, told in places.items() if MARKER in told}

    async def amounts(self, crm: Tandem) -> list[Any]:
        found = [await crm.orders.get(each) for each in self.ids]
        lines = [(line.quantity, line.amount, line.shipped_quantity) for order in found for line in order.lines]
        return [*((order.total, order.subtotal, order.tax_amount) for order in found), *lines]


async def test_promise_25_erased_stays_erased(party: Party, http: aiohttp.ClientSession, collector: Collector) -> None:
    async with party.crm() as crm, party.worker() as worker, sending(party) as sender:
        story = Story(party, http, sender)
        with tracing() as trace:
            imported = await story.import_files("a")
            assert [(each["created"], each["failed"]) for each in imported] == [(1, 2), (0, 2)]
            await story.sell(crm)
            await story.book(worker)
            assert await story.tell() == TOLD
            assert unmarked(await crm.customers.get(story.customer_id)) <= CLOSED
            assert unmarked(await crm.orders.get(story.ids[0])) <= CLOSED | {"delivery.last_error"}
            before = await story.amounts(crm)
            story.forget_whose_reply_it_is()
            tables = {"customers", "orders", "order_lines", "order_events", "status_updates"}
            tables |= {"erp_events", "idempotency_keys", "import_faults"}
            assert tables <= await story.traces_of_it(collector)
            path, part = f"/v1/customers/{story.customer_id}:erase", {"traceparent": f"00-{trace}-{'1' * 16}-01"}
            status, _, reply = await ask(http, "POST", path, json={}, headers=part)
            assert (status, reply.get("outcome")) == (200, "ERASED"), reply
            assert await story.traces_of_it(collector) == set()
            assert await story.amounts(crm) == before
            again = await story.import_files("b")
            assert [(each["created"], each["updated"], each["failed"]) for each in again] == [(0, 0, 3)] * 2
            assert await story.tell() == TOLD
            for external_id in (MARKER, f"{MARKER}-2"):
                assert (await story.order(external_id))[1]["reason"] == "ERASED"
            with pytest.raises(FailedPrecondition):
                await crm.customers.create(marked(Customer()))
        await collector.trace(trace, "tandem.crm.v1.CrmService/EraseCustomer")
        assert await story.traces_of_it(collector) == set()
        assert await story.amounts(crm) == before

"""An order that the CRM changes is a new revision of it, and the ERP gets what it then is."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from conftest import Party
from known_keys import STRANGE_CRM
from rest.test_status_table import ask
from retail import a_customer, an_order, hand_over

from tandem.crm.v1.address_pb2 import Address
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import DeliveryState
from tandem.erp.v1.delivery_pb2 import DeliveryKind
from tandem_client import EtagMismatch, FailedPrecondition, InvalidArgument, NotFound, Tandem

from .erp import acknowledge, lease_one, names_of, reject, tell_status

pytestmark = pytest.mark.usefixtures("deadline")

ONE_LINE = [OrderLine(sku="71053", quantity="3", unit_price="3.39", line_number=7)]


async def test_the_fields_named_change_and_nothing_else(party: Party) -> None:
    async with party.crm() as crm:
        (before,) = await hand_over(crm, 1, lines=2)
        after = await crm.orders.amend(before.id, Order(note="leave it at the door", payment_terms="net 30"))
        assert (after.note, after.payment_terms, after.revision) == ("leave it at the door", "net 30", 2)
        assert after.etag != before.etag
        assert after.updated_at.ToNanoseconds() > before.updated_at.ToNanoseconds()
        assert (after.lines, after.total, after.billing_address) == (before.lines, before.total, before.billing_address)
        assert after == await crm.orders.get(before.id)
        cleared = await crm.orders.amend(before.id, Order(), fields=["note"])
        assert (cleared.note, cleared.payment_terms, cleared.revision) == ("", "net 30", 3)


async def test_lines_are_replaced_whole_and_the_sums_made_anew(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (before,) = await hand_over(crm, 1, lines=40)
        after = await crm.orders.amend(before.id, Order(lines=ONE_LINE, shipping_amount="5"))
        assert [(line.line_number, line.sku, line.amount) for line in after.lines] == [(7, "71053", "10.17")]
        assert (after.subtotal, after.total) == ("10.17", "15.17")
        assert after == await crm.orders.get(before.id)
        delivery = await lease_one(worker)
        assert (delivery.kind, delivery.revision) == (DeliveryKind.DELIVERY_KIND_NEW, 2)
        assert (delivery.order.lines, delivery.order.total) == (after.lines, "15.17")


async def test_a_total_is_checked_against_the_order_as_it_would_be(party: Party) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
        with pytest.raises(InvalidArgument) as refusal:
            await crm.orders.amend(order.id, Order(lines=ONE_LINE, total=order.total))
        assert (refusal.value.reason, refusal.value.fields[0].field) == ("TOTAL_MISMATCH", "order.total")
        assert refusal.value.metadata["computed_total"] == "10.17"
        assert (await crm.orders.amend(order.id, Order(lines=ONE_LINE, total="10.17"))).total == "10.17"
        with pytest.raises(InvalidArgument) as refusal:
            await crm.orders.amend(order.id, Order(discount_amount="10.18"))
        assert [wrong.field for wrong in refusal.value.fields] == ["order.discount_amount"]


async def test_what_changes_nothing_writes_nothing(party: Party) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
        assert (
            await crm.orders.amend(order.id, order, fields=["lines", "note", "ordered_at", "shipping_amount"]) == order
        )
        assert await crm.orders.amend(order.id, Order()) == order
        assert await names_of(crm, order) == ["CREATED"]


@pytest.mark.parametrize(
    "field", ["customer_id", "customer_external_id", "currency", "external_id", "status", "revision", "colour"]
)
async def test_what_is_fixed_cannot_be_named(party: Party, field: str) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
        with pytest.raises(InvalidArgument):
            await crm.orders.amend(order.id, order, fields=[field])
        assert await crm.orders.get(order.id) == order


async def test_addresses_and_dates_can_be_cleared(party: Party) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        order = an_order()
        order.shipping_address.CopyFrom(Address(line1="1 High Street", country="GB"))
        order.ordered_at.FromJsonString("2010-12-01T08:26:00Z")
        before = await crm.orders.create(order)
        after = await crm.orders.amend(before.id, Order(), fields=["shipping_address", "ordered_at"])
        assert not after.HasField("shipping_address")
        assert after.ordered_at == before.created_at
        assert after == await crm.orders.get(before.id)


async def test_only_the_one_who_read_last_wins(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
    path, first = f"/v1/orders/{order.id}", {"if-match": f'"{order.etag}"'}
    status, headers, changed = await ask(http, "PATCH", path, json={"note": "a"}, headers=first)
    assert (status, changed["note"], headers["etag"]) == (200, "a", f'"{changed["etag"]}"')
    status, _, problem = await ask(http, "PATCH", path, json={"note": "b"}, headers=first)
    assert (status, problem["reason"], problem["metadata"]["etag"]) == (412, "ETAG_MISMATCH", changed["etag"])
    assert (await ask(http, "GET", path))[2] == changed


async def test_over_rest(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
    path = f"/v1/orders/{order.id}"
    line: dict[str, Any] = {"sku": "71053", "quantity": "2", "unit_price": "1.25"}
    status, _, changed = await ask(http, "PATCH", path, json={"lines": [line]})
    assert (status, changed["total"], changed["revision"]) == (200, "2.50", 2)
    for body, named in (
        ({"lines": []}, "lines"),
        ({"lines": [{**line, "quantity": "0"}]}, "lines[0].quantity"),
        ({"lines": [{**line, "line_number": 1}] * 2}, "lines"),
        ({"customer_external_id": "17850"}, "customer_external_id"),
        ({"customer_id": order.customer_id}, "customer_id"),
        ({"currency": "GBP"}, "currency"),
        ({"shipping_amount": "0.001"}, "shipping_amount"),
    ):
        status, _, problem = await ask(http, "PATCH", path, json=body)
        assert (status, named in {error["field"] for error in problem["errors"]}) == (400, True), problem
    stranger = {"authorization": f"Bearer {STRANGE_CRM.key}"}
    assert (await ask(http, "PATCH", path, json={"note": "x"}, headers=stranger))[0] == 404
    assert (await ask(http, "GET", path))[2] == changed


@pytest.mark.parametrize("status", ["ACKNOWLEDGED", "PROCESSING", "PARTIALLY_SHIPPED", "SHIPPED", "REJECTED"])
async def test_where_an_order_may_still_change(party: Party, status: str) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await acknowledge(worker, await lease_one(worker))
        await tell_status(worker, order, status)
        if status in ("ACKNOWLEDGED", "PROCESSING"):
            assert (await crm.orders.amend(order.id, Order(note="x"))).revision == 2
            delivery = await lease_one(worker)
            assert (delivery.kind, delivery.revision) == (DeliveryKind.DELIVERY_KIND_CHANGED, 2)
            assert (delivery.order.note, delivery.acked_revision) == ("x", 1)
            return
        with pytest.raises(FailedPrecondition) as refusal:
            await crm.orders.amend(order.id, Order(note="x"))
        assert (refusal.value.reason, refusal.value.metadata["status"]) == ("ORDER_NOT_AMENDABLE", status)


async def test_while_a_worker_holds_it_nothing_else_moves(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        first = await lease_one(worker)
        changed = await crm.orders.amend(order.id, Order(note="x"))
        assert changed.delivery.state == DeliveryState.DELIVERY_STATE_LEASED
        assert list(await worker.erp.lease("w")) == []
        await acknowledge(worker, first)
        second = await lease_one(worker)
        assert (second.revision, second.acked_revision, second.order.note) == (2, 1, "x")


async def test_an_amendment_brings_a_dead_letter_back(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await reject(worker, await lease_one(worker), permanent=True)
        assert (await crm.orders.get(order.id)).delivery.state == DeliveryState.DELIVERY_STATE_DEAD
        changed = await crm.orders.amend(order.id, Order(lines=ONE_LINE))
        assert changed.delivery.state == DeliveryState.DELIVERY_STATE_WAITING
        await acknowledge(worker, await lease_one(worker))


async def test_a_worker_that_waits_is_woken(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await acknowledge(worker, await lease_one(worker))
        async with worker.orders.pull("w") as deliveries:
            await crm.orders.amend(order.id, Order(note="x"))
            delivery = await anext(deliveries)
            assert delivery.order.note == "x"
            await delivery.acknowledge()


async def test_a_create_is_known_again_after_an_amendment(party: Party) -> None:
    """By what it first said, and by what the order is now; anything else is another order's."""
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
        created = an_order(order.external_id, lines=1)
        now = an_order(order.external_id, lines=1)
        now.note = "x"
        changed = await crm.orders.amend(order.id, Order(note="x"))
        assert await crm.orders.create(created) == changed
        assert await crm.orders.create(now) == changed
        now.note = "y"
        await refused(crm, now)


async def refused(crm: Tandem, order: Order) -> None:
    with pytest.raises(Exception, match="exists with different note"):
        await crm.orders.create(order)


async def test_there_is_no_such_order(party: Party) -> None:
    async with party.crm() as crm:
        with pytest.raises(NotFound):
            await crm.orders.amend("ord_01h455vb4pex5vsknk084sn02q", Order(note="x"))
        with pytest.raises(NotFound):
            await crm.orders.cancel("ord_01h455vb4pex5vsknk084sn02q")
        (order,) = await hand_over(crm, 1)
        with pytest.raises(EtagMismatch) as mismatch:
            await crm.orders.amend(order.id, Order(note="x"), etag="v9")
        assert mismatch.value.metadata["etag"] == order.etag


async def test_an_order_at_the_limit_can_be_amended_but_not_made_larger(party: Party) -> None:
    def heavy(text: int) -> Order:
        order = an_order("heavy", lines=1900)
        for line in order.lines:
            line.note = "x" * text
        return order

    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        order = await crm.orders.create(heavy(500))
        assert (await crm.orders.amend(order.id, Order(note="x"))).revision == 2
        too_large = heavy(490)
        too_large.lines.extend(too_large.lines[:100])
        for call in (crm.orders.amend(order.id, too_large), crm.orders.upsert(too_large)):
            with pytest.raises(InvalidArgument) as refusal:
                await call
            assert [wrong.field for wrong in refusal.value.fields] == ["order.lines"]
        assert (await crm.orders.get(order.id)).revision == 2

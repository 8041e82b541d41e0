"""The order as it is now, told whole as often as one likes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from conftest import Party
from rest.test_status_table import ask
from retail import a_customer, an_order

from tandem.crm.v1.address_pb2 import Address
from tandem.crm.v1.order_change_requests_pb2 import UpsertOrderOutcome
from tandem.crm.v1.order_pb2 import Order
from tandem_client import EtagMismatch, FailedPrecondition, InvalidArgument, Tandem

from .erp import acknowledge, lease_one, names_of, tell_status

pytestmark = pytest.mark.usefixtures("deadline")


async def told(crm: Tandem, order: Order, etag: str = "") -> tuple[str, Order]:
    """Tell *order* as it is now; return the outcome and the order as stored."""
    response = await crm.orders.upsert(order, etag=etag)
    return UpsertOrderOutcome.Name(response.outcome).removeprefix("UPSERT_ORDER_OUTCOME_"), response.order


async def test_created_unchanged_amended(party: Party) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        order = an_order(lines=2)
        outcome, created = await told(crm, order)
        assert (outcome, created.revision) == ("CREATED", 1)
        assert await told(crm, order) == ("UNCHANGED", created)
        order.note = "x"
        outcome, amended = await told(crm, order)
        assert (outcome, amended.note, amended.revision, amended.id) == ("AMENDED", "x", 2, created.id)
        order.ClearField("note")
        outcome, again = await told(crm, order)
        assert (outcome, again.note, again.revision) == ("AMENDED", "", 3)
        assert again == await crm.orders.get(created.id)
        assert await names_of(crm, created) == ["CREATED", "AMENDED", "AMENDED"]


async def test_lines_are_the_same_whatever_their_order(party: Party) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        order = an_order(lines=3)
        for number, line in zip((30, 10, 20), order.lines, strict=True):
            line.line_number = number
        _, created = await told(crm, order)
        assert [line.line_number for line in created.lines] == [10, 20, 30]
        order.lines.sort(key=lambda line: -line.line_number)
        assert await told(crm, order) == ("UNCHANGED", created)
        assert await crm.orders.create(order) == created


async def test_what_tandem_filled_in_stays_where_it_is_left_out(party: Party) -> None:
    async with party.crm() as crm:
        customer = a_customer()
        customer.billing_address.line1 = "1 High Street"
        await crm.customers.upsert(customer)
        order = an_order()
        _, created = await told(crm, order)
        customer.billing_address.line1 = "2 High Street"
        await crm.customers.upsert(customer)
        assert await told(crm, order) == ("UNCHANGED", created)
        order.billing_address.CopyFrom(Address(line1="2 High Street"))
        outcome, moved = await told(crm, order)
        assert (outcome, moved.billing_address.line1) == ("AMENDED", "2 High Street")
        order.billing_address.Clear()
        order.billing_address.SetInParent()
        outcome, cleared = await told(crm, order)
        assert (outcome, cleared.billing_address) == ("AMENDED", Address())
        assert cleared.ordered_at == created.ordered_at


async def test_customer_and_currency_stay(party: Party) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        await crm.customers.upsert(a_customer("other"))
        order = an_order()
        _, created = await told(crm, order)
        for field, value in (("customer_external_id", "other"), ("currency", "EUR")):
            wrong = Order()
            wrong.CopyFrom(order)
            setattr(wrong, field, value)
            with pytest.raises(InvalidArgument) as refusal:
                await crm.orders.upsert(wrong)
            assert [violation.field for violation in refusal.value.fields] == [f"order.{field}"]
        order.ClearField("customer_external_id")
        order.customer_id = created.customer_id
        assert await told(crm, order) == ("UNCHANGED", created)


async def test_an_order_that_is_done_may_be_told_again_but_not_changed(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        await crm.customers.upsert(a_customer())
        order = an_order()
        _, created = await told(crm, order)
        await acknowledge(worker, await lease_one(worker))
        await tell_status(worker, created, "SHIPPED")
        assert (await told(crm, order))[0] == "UNCHANGED"
        order.note = "x"
        with pytest.raises(FailedPrecondition) as refusal:
            await crm.orders.upsert(order)
        assert refusal.value.reason == "ORDER_NOT_AMENDABLE"


async def test_with_an_etag(party: Party) -> None:
    """A repetition is harmless though the etag is an old one by then; with an etag nothing is created."""
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        order = an_order()
        with pytest.raises(EtagMismatch):
            await crm.orders.upsert(order, etag="v1")
        assert [stored async for stored in crm.orders.list()] == []
        _, created = await told(crm, order)
        order.note = "x"
        outcome, amended = await told(crm, order, created.etag)
        assert outcome == "AMENDED"
        assert await told(crm, order, created.etag) == ("UNCHANGED", amended)
        order.note = "y"
        with pytest.raises(EtagMismatch) as mismatch:
            await crm.orders.upsert(order, etag=created.etag)
        assert mismatch.value.metadata["etag"] == amended.etag


async def test_many_at_once_create_one(party: Party) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        order = an_order()
        outcomes = sorted([outcome for outcome, _ in await asyncio.gather(*(told(crm, order) for _ in range(16)))])
        assert outcomes == ["CREATED", *["UNCHANGED"] * 15]
        assert len([stored async for stored in crm.orders.list()]) == 1


async def test_over_rest(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
    path = "/v1/orders/external/web%2F1"
    line = {"sku": "85123A", "quantity": "6", "unit_price": "2.55"}
    body = {"customer_external_id": "17850", "currency": "GBP", "lines": [line]}
    seen = []
    for note, etag in (("", None), ("", None), ("x", '"v1"'), ("y", '"v1"')):
        headers = {"if-match": etag} if etag else {}
        status, replied, order = await ask(http, "PUT", path, json={**body, "note": note}, headers=headers)
        seen.append((status, replied.get("tandem-outcome")))
    assert seen == [(200, "CREATED"), (200, "UNCHANGED"), (200, "AMENDED"), (412, None)]
    _, _, order = await ask(http, "GET", path)
    assert (order["external_id"], order["note"], order["revision"]) == ("web/1", "x", 2)
    assert (await ask(http, "PUT", path, json={**body, "customer_external_id": "nobody"}))[0] == 400
    assert (await ask(http, "PUT", path, json={**body, "lines": []}))[0] == 400

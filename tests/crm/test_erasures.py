"""A customer is erased when nothing is open any more, and nobody brings an erased one back."""

from __future__ import annotations

import aiohttp
import pytest
from conftest import Party
from integration.uploads import failed_csv, post, rows_of
from known_keys import STRANGE_CRM
from rest.test_status_table import ask
from retail import a_customer, an_order, hand_over
from webhooks.sender import operator, sending

from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.customer_requests_pb2 import ErasureOutcome
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, AcknowledgementOutcome
from tandem_client import FailedPrecondition, InvalidArgument, NotFound, Tandem

from .erp import acknowledge, lease_one, names_of, reject, tell_status

pytestmark = pytest.mark.usefixtures("deadline")

ERASED, WAITING = ErasureOutcome.ERASURE_OUTCOME_ERASED, ErasureOutcome.ERASURE_OUTCOME_WAITING


async def refused(call: object) -> str:
    """Return the reason for which *call* is refused."""
    with pytest.raises(FailedPrecondition) as refusal:
        await call  # type: ignore[misc]
    return refusal.value.reason


async def erased_customer(crm: Tandem, external_id: str = "17850") -> Customer:
    customer = (await crm.customers.upsert(a_customer(external_id))).customer
    assert (await crm.customers.erase(customer.id)).outcome == ERASED
    return customer


async def test_open_orders_are_in_the_way_and_named(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        waits, works = await hand_over(crm, 2)
        await crm.orders.cancel(waits.id)
        await acknowledge(worker, await lease_one(worker))
        with pytest.raises(FailedPrecondition, match=works.id) as refusal:
            await crm.customers.erase(works.customer_id)
        assert (refusal.value.reason, refusal.value.metadata["order_ids"]) == ("ORDERS_OPEN", works.id)
        await tell_status(worker, works, "SHIPPED")
        done = await crm.customers.erase(works.customer_id)
        assert (done.outcome, done.customer.name, done.customer.HasField("erased_at")) == (ERASED, "", True)
        assert await crm.customers.erase(works.customer_id) == done
        order = await crm.orders.get(works.id)
        assert (order.total, order.lines[0].quantity, order.lines[0].sku) == (works.total, "1", "")
        assert (await names_of(crm, works))[-1] == "ERASED"


async def test_open_orders_are_called_off_and_the_erp_is_waited_for(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        await hand_over(crm, 2)
        (known,) = await worker.erp.lease("w", max_orders=1)
        await acknowledge(worker, known)
        asked = await crm.customers.erase(known.customer.id, cancel_open_orders=True)
        assert (asked.outcome, list(asked.waiting_order_ids)) == (WAITING, [known.order.id])
        assert (await crm.customers.get(known.customer.id)).name == "Customer 17850"
        assert (await crm.customers.erase(known.customer.id, cancel_open_orders=True)) == asked
        assert await refused(crm.customers.erase(known.customer.id)) == "ORDERS_OPEN"
        assert await acknowledge(worker, await lease_one(worker)) == "ACKNOWLEDGED"
        done = await crm.customers.erase(known.customer.id, cancel_open_orders=True)
        assert (done.outcome, list(done.waiting_order_ids)) == (ERASED, [])
        states = {order.status async for order in crm.orders.list(customer_id=known.customer.id)}
        assert states == {OrderStatus.ORDER_STATUS_CANCELLED}


async def test_an_order_that_the_erp_does_not_call_off_is_its_own(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await acknowledge(worker, await lease_one(worker))
        await crm.customers.erase(order.customer_id, cancel_open_orders=True)
        await reject(worker, await lease_one(worker), permanent=True, code="PACKED", reason="Ada's box is packed")
        assert await refused(crm.customers.erase(order.customer_id)) == "ORDERS_OPEN"
        assert (await crm.customers.erase(order.customer_id, cancel_open_orders=True)).outcome == ERASED
        assert await refused(crm.orders.amend(order.id, Order(note="x"))) == "ERASED"
        assert await refused(crm.orders.cancel(order.id)) == "ERASED"
        kept = await crm.orders.get(order.id)
        assert (kept.status, kept.delivery.last_error) == (OrderStatus.ORDER_STATUS_ACKNOWLEDGED, "")


async def test_a_dead_letter_is_in_the_way(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await reject(worker, await lease_one(worker), permanent=True)
        assert await refused(crm.customers.erase(order.customer_id)) == "ORDERS_OPEN"
        assert (await crm.customers.erase(order.customer_id, cancel_open_orders=True)).outcome == WAITING
        await acknowledge(worker, await lease_one(worker))
        assert (await crm.customers.erase(order.customer_id)).outcome == ERASED


async def test_no_writer_brings_an_erased_customer_back(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        old = await erased_customer(crm)
        other = (await crm.customers.upsert(a_customer("other"))).customer
        shared = Customer(external_id="new", name="N", email=old.email.upper())
        by_id = an_order(customer="")
        by_id.customer_id = old.id
        calls = [
            crm.customers.create(a_customer()),
            crm.customers.upsert(a_customer()),
            crm.customers.upsert(Customer(external_id="17850", name="Somebody else")),
            crm.customers.create(shared),
            crm.customers.update(other.id, Customer(email=old.email)),
            crm.customers.update(old.id, Customer(name="Ada")),
            crm.customers.upsert(Customer(external_id=f"erased:{old.id}", name="Ada")),
            crm.customers.create(Customer(external_id=f"erased:{old.id}", name="Ada")),
            worker.erp.link_customer(old.id, "K-1"),
            crm.orders.create(an_order()),
            crm.orders.upsert(an_order()),
            crm.orders.create(by_id),
        ]
        assert [await refused(call) for call in calls] == ["ERASED"] * len(calls)
        with pytest.raises(NotFound):
            await crm.customers.get(external_id="17850")
        assert [c.id async for c in crm.customers.list(email=old.email)] == []
        with pytest.raises(InvalidArgument):
            await crm.orders.create(an_order(customer="nobody"))


async def test_rows_of_an_import_do_not_bring_one_back_either(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        old = await erased_customer(crm)
        await crm.customers.upsert(a_customer("other"))
    rows = [
        "external_id,name,email,currency",
        f"17850,Ada,{old.email},GBP",
        f",Ada,{old.email},GBP",
        f"new,Ada,{old.email},GBP",
        f"other,Ada,{old.email},GBP",
        "17850,Ada,,pounds",
        "17850,Ada,,ZZZ,too much",
        "good,Grace,grace@example.com,GBP",
        "bad,Grace,,pounds",
    ]
    status, told = await post(http, "\n".join(rows).encode(), "import_id=i1")
    assert (status, told["created"], told["failed"]) == (200, 1, 7)
    found = await rows_of(http, "i1")
    assert [row["reason"] for row in found] == ["ERASED"] * 6 + ["", "INVALID_FIELDS"]
    assert [row["original"] for row in found][:6] == [[]] * 6
    failed = (await failed_csv(http, "i1")).decode()
    assert (failed.count("is of a customer who was erased"), "Ada" in failed, "Grace" in failed) == (6, False, True)


async def test_what_the_erp_tells_later_changes_the_status_alone(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker, sending(party) as sender:
        (order,) = await hand_over(crm, 1)
        await acknowledge(worker, await lease_one(worker))
        await tell_status(worker, order, "SHIPPED", "left with Ada")
        await crm.customers.erase(order.customer_id)
        link = {"id": order.customer_id, "erp_number": "K-1"}
        assert await sender.outcome("l1", "customer.linked", link) == "REFUSED ERASED"
        told = {"erp_document": order.id, "status": "DELIVERED", "reason": "left with Ada", "invoice_number": "R-1"}
        assert await sender.outcome("s1", "order.status_changed", told) == "APPLIED"
        assert await sender.outcome("s1", "order.status_changed", told) == "STALE"
        ack = {"order_id": order.id, "erp_document": order.id, "revision": 1, "customer_number": "K-1"}
        assert await sender.outcome("a1", "order.acknowledged", ack) == "STALE"
        await tell_status(worker, order, "RETURNED", "by Ada")
        after = await crm.orders.get(order.id)
        assert (after.status, list(after.invoice_numbers)) == (OrderStatus.ORDER_STATUS_RETURNED, [])
        events = [event async for event in crm.orders.events(order.id)]
        assert not any(event.reason or event.worker or event.erp_document for event in events)
    async with operator(party) as overseer:
        assert [event async for event in overseer.webhooks.list()] == []


async def test_the_document_of_an_erased_order_is_no_other_orders(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (first,) = await hand_over(crm, 1)
        held = await lease_one(worker)
        await worker.erp.acknowledge([acknowledged(held, "SO-1")])
        await tell_status(worker, first, "DELIVERED")
        await crm.customers.erase(first.customer_id)
        await crm.customers.upsert(a_customer("other"))
        await crm.orders.create(an_order(customer="other"))
        (result,) = await worker.erp.acknowledge([acknowledged(await lease_one(worker), "SO-1")])
        assert result.outcome == AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_DOCUMENT_CONFLICT
        (again,) = await worker.erp.acknowledge([acknowledged(held, "SO-1")])
        assert again.outcome == AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ALREADY_ACKNOWLEDGED


def acknowledged(held: Delivery, document: str) -> Acknowledgement:
    return Acknowledgement(order_id=held.order.id, lease_token=held.lease_token, erp_document=document)


async def test_by_rest_and_by_whom(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
    path = f"/v1/customers/{order.customer_id}:erase"
    status, _, problem = await ask(http, "POST", path, json={})
    assert (status, problem["reason"], problem["metadata"]) == (409, "ORDERS_OPEN", {"order_ids": order.id})
    for key, expected in ((STRANGE_CRM.key, 404), (party.erp_key, 403)):
        headers = {"authorization": f"Bearer {key}"}
        assert (await ask(http, "POST", path, json={"cancel_open_orders": True}, headers=headers))[0] == expected
    status, _, reply = await ask(http, "POST", path, json={"cancel_open_orders": True})
    assert (status, reply["outcome"], reply["customer"]["external_id"]) == (
        200,
        "ERASED",
        f"erased:{order.customer_id}",
    )

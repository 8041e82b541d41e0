"""A cancel is a fact until the ERP was handed the order; afterwards it is a request that the ERP answers."""

from __future__ import annotations

import aiohttp
import pytest
from conftest import Party
from known_keys import STRANGE_CRM
from rest.test_status_table import ask
from retail import hand_over

from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import DeliveryState, OrderStatus
from tandem.erp.v1.delivery_pb2 import DeliveryKind
from tandem_client import EtagMismatch, FailedPrecondition

from .erp import acknowledge, lease_one, names_of, reject, tell_status

pytestmark = pytest.mark.usefixtures("deadline")

CANCELLED = OrderStatus.ORDER_STATUS_CANCELLED


async def test_before_the_erp_saw_it_a_cancel_is_a_fact(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        cancelled = await crm.orders.cancel(order.id, reason="ordered twice")
        assert (cancelled.status, cancelled.HasField("cancel_requested_at")) == (CANCELLED, False)
        assert cancelled.delivery.state == DeliveryState.DELIVERY_STATE_DONE
        assert cancelled == await crm.orders.get(order.id)
        assert list(await worker.erp.lease("w")) == []
        assert await crm.orders.cancel(order.id, reason="again", etag=order.etag) == cancelled
        assert await names_of(crm, order) == ["CREATED", "CANCELLED"]
        with pytest.raises(FailedPrecondition, match="CANCELLED"):
            await crm.orders.amend(order.id, Order(note="x"))


async def test_afterwards_it_is_a_request_that_the_erp_fulfils(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1, lines=2)
        await acknowledge(worker, await lease_one(worker))
        asked = await crm.orders.cancel(order.id, reason="ordered twice")
        assert (asked.status, asked.revision) == (OrderStatus.ORDER_STATUS_ACKNOWLEDGED, 2)
        assert asked.HasField("cancel_requested_at")
        assert asked.lines == order.lines
        assert await crm.orders.cancel(order.id, etag=order.etag) == asked
        with pytest.raises(FailedPrecondition) as refusal:
            await crm.orders.amend(order.id, Order(note="x"))
        assert refusal.value.reason == "CANCEL_REQUESTED"
        assert await crm.orders.amend(order.id, Order(note="")) == asked
        delivery = await lease_one(worker)
        assert (delivery.kind, delivery.revision) == (DeliveryKind.DELIVERY_KIND_CANCELLED, 2)
        assert await acknowledge(worker, delivery) == "ACKNOWLEDGED"
        done = await crm.orders.get(order.id)
        assert (done.status, done.HasField("cancel_requested_at")) == (CANCELLED, False)
        assert done.delivery.state == DeliveryState.DELIVERY_STATE_DONE
        told = ["CREATED", "LEASED", "ACKNOWLEDGED", "CANCEL_REQUESTED", "LEASED", "ACKNOWLEDGED", "CANCELLED"]
        assert await names_of(crm, order) == told


async def test_an_erp_that_says_no_is_right(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await acknowledge(worker, await lease_one(worker))
        await crm.orders.cancel(order.id)
        assert (
            await reject(worker, await lease_one(worker), permanent=True, code="SHIPPED", reason="left") == "REJECTED"
        )
        kept = await crm.orders.get(order.id)
        assert (kept.status, kept.HasField("cancel_requested_at")) == (OrderStatus.ORDER_STATUS_ACKNOWLEDGED, False)
        assert (kept.delivery.last_code, kept.delivery.last_error) == ("SHIPPED", "left")
        assert kept.delivery.state == DeliveryState.DELIVERY_STATE_DONE
        assert list(await worker.erp.lease("w")) == []
        assert (await crm.orders.amend(order.id, Order(note="x"))).revision == 3
        assert (await lease_one(worker)).kind == DeliveryKind.DELIVERY_KIND_CHANGED


async def test_a_no_to_an_order_that_was_never_stored_sends_it_out_again(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await reject(worker, await lease_one(worker), release=True)
        await crm.orders.cancel(order.id)
        assert await reject(worker, await lease_one(worker), permanent=True) == "REJECTED"
        delivery = await lease_one(worker)
        assert (delivery.kind, delivery.order.HasField("cancel_requested_at")) == (
            DeliveryKind.DELIVERY_KIND_NEW,
            False,
        )


async def test_a_cancel_while_a_worker_holds_the_order_waits_for_its_answer(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        first = await lease_one(worker)
        asked = await crm.orders.cancel(order.id)
        assert asked.delivery.state == DeliveryState.DELIVERY_STATE_LEASED
        assert list(await worker.erp.lease("other")) == []
        assert await acknowledge(worker, first) == "ACKNOWLEDGED"
        assert (await crm.orders.get(order.id)).status == OrderStatus.ORDER_STATUS_ACKNOWLEDGED
        second = await lease_one(worker)
        assert second.kind == DeliveryKind.DELIVERY_KIND_CANCELLED
        assert await acknowledge(worker, second) == "ACKNOWLEDGED"
        assert (await crm.orders.get(order.id)).status == CANCELLED


async def test_a_cancel_of_a_dead_letter_goes_out_and_needs_no_document(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await reject(worker, await lease_one(worker), permanent=True)
        assert (await crm.orders.cancel(order.id)).delivery.state == DeliveryState.DELIVERY_STATE_WAITING
        delivery = await lease_one(worker)
        assert delivery.kind == DeliveryKind.DELIVERY_KIND_CANCELLED
        assert await acknowledge(worker, delivery) == "ACKNOWLEDGED"
        done = await crm.orders.get(order.id)
        assert (done.status, done.erp_document) == (CANCELLED, "")


@pytest.mark.parametrize("status", ["PARTIALLY_SHIPPED", "SHIPPED", "RETURNED"])
async def test_how_long_an_order_can_be_cancelled(party: Party, http: aiohttp.ClientSession, status: str) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        await acknowledge(worker, await lease_one(worker))
        await tell_status(worker, order, status)
    path = f"/v1/orders/{order.id}:cancel"
    code, _, reply = await ask(http, "POST", path, json={"reason": "no longer wanted"})
    if status == "PARTIALLY_SHIPPED":
        assert (code, reply["status"], reply["revision"]) == (200, status, 2)
        return
    assert (code, reply["reason"], reply["metadata"]["status"]) == (409, "ORDER_NOT_CANCELLABLE", status)


async def test_over_rest(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
        with pytest.raises(EtagMismatch):
            await crm.orders.cancel(order.id, etag="v9")
    path = f"/v1/orders/{order.id}:cancel"
    status, _, problem = await ask(http, "POST", path, json={"reason": "x" * 501})
    assert (status, problem["errors"][0]["field"]) == (400, "reason")
    assert (await ask(http, "POST", path, json={"etag": "v9"}))[0] == 412
    stranger = {"authorization": f"Bearer {STRANGE_CRM.key}"}
    assert (await ask(http, "POST", path, json={}, headers=stranger))[0] == 404
    status, _, reply = await ask(http, "POST", path, json={"reason": "ordered twice", "etag": order.etag})
    assert (status, reply["status"], reply["delivery"]["state"]) == (200, "CANCELLED", "DONE")

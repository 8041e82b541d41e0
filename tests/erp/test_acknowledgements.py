"""Acknowledgements prove import: the first has a document, which never changes and belongs to one order."""

from __future__ import annotations

import asyncio

from tandem_server.domain.lifecycle import Status
from tandem_server.storage import customers
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.leases import Rejection

from .conftest import EVERYWHERE
from .desk import Desk, id_of, state_of, token_of, told


async def leased(desk: Desk, number: int = 1) -> list[tuple[str, str]]:
    await desk.place(number)
    return [(id_of(delivery), token_of(delivery)) for delivery in await desk.claim(number)]


async def test_the_first_one_needs_a_document(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    assert await desk.acknowledge(Acknowledgement(order_id, token)) == ["DOCUMENT_REQUIRED"]
    assert state_of(await desk.delivery(order_id)) == "leased 0"
    assert await desk.acknowledge(Acknowledgement(order_id, token, "SO-1")) == ["ACKNOWLEDGED"]
    order = await desk.order(order_id)
    assert (order.status, order.erp_document, order.version) == (Status.ACKNOWLEDGED, "SO-1", 2)
    assert order.updated_at > order.created_at


async def test_a_document_never_changes_and_belongs_to_one_order(desk: Desk) -> None:
    (first, token), (second, _), (third, _) = await leased(desk, 3)
    outcomes = await desk.acknowledge(
        Acknowledgement(first, token, "SO-1"),
        Acknowledgement(first, token, "SO-1"),
        Acknowledgement(first, token, "SO-2"),
        Acknowledgement(first, token),
        Acknowledgement(second, token, "SO-1"),
        Acknowledgement("ord_01h455vb4pex5vsknk084sn02q", token, "SO-3"),
        Acknowledgement(third, token, "SO-3"),
    )
    assert outcomes == [
        *("ACKNOWLEDGED", "ALREADY_ACKNOWLEDGED", "DOCUMENT_CONFLICT", "ALREADY_ACKNOWLEDGED"),
        *("DOCUMENT_CONFLICT", "NOT_FOUND", "ACKNOWLEDGED"),
    ]
    assert await desk.acknowledge(Acknowledgement(second, token, "SO-3")) == ["DOCUMENT_CONFLICT"]
    assert [(await desk.order(each)).erp_document for each in (first, second, third)] == ["SO-1", None, "SO-3"]


async def test_a_changed_order_keeps_its_document(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    await desk.acknowledge(Acknowledgement(order_id, token, "SO-1"))
    await desk.amend(order_id)
    (delivery,) = await desk.claim()
    assert (delivery.kind, delivery.stored.delivery.acked_revision, delivery.stored.order.revision) == ("CHANGED", 1, 2)
    again = token_of(delivery)
    assert await desk.acknowledge(Acknowledgement(order_id, again, "SO-2")) == ["DOCUMENT_CONFLICT"]
    assert await desk.acknowledge(Acknowledgement(order_id, again)) == ["ACKNOWLEDGED"]
    assert state_of(await desk.delivery(order_id)) == "done 0"


@EVERYWHERE
async def test_two_that_race_for_one_document_get_it_once(desk: Desk) -> None:
    pairs = await leased(desk, 10)
    racing = (desk.acknowledge(Acknowledgement(order_id, token, "SO-1")) for order_id, token in pairs)
    outcomes = [outcome for (outcome,) in await asyncio.gather(*racing)]
    assert sorted(outcomes) == ["ACKNOWLEDGED", *["DOCUMENT_CONFLICT"] * 9]


async def test_a_status_told_before_is_not_stepped_back_from(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    await desk.tell(told("e1", order_id, status="SHIPPED"))
    await desk.acknowledge(Acknowledgement(order_id, token, "SO-1"))
    assert (await desk.order(order_id)).status == "SHIPPED"


async def test_the_erps_number_of_a_customer_is_stored_with_it(desk: Desk) -> None:
    (first, token), (second, _) = await leased(desk, 2)
    await desk.acknowledge(
        Acknowledgement(first, token, "SO-1", customer_number="K-1"),
        Acknowledgement(second, token, "SO-2", customer_number="K-1"),
    )
    order = await desk.order(first)
    rows = await desk.database.read(lambda tx: customers.by_ids(tx, [order.customer_id]))
    assert (rows[order.customer_id].erp_number, rows[order.customer_id].version) == ("K-1", 2)


async def test_another_erps_orders_are_not_found(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    stranger = Desk(desk.database, f"not-{desk.erp}", desk.counter)
    assert await stranger.acknowledge(Acknowledgement(order_id, token, "SO-1")) == ["NOT_FOUND"]
    assert await stranger.reject(Rejection(order_id, token, "NO", "no")) == ["NOT_FOUND"]
    assert [extension.outcome for extension in await stranger.extend((order_id, token))] == ["NOT_FOUND"]
    assert state_of(await desk.delivery(order_id)) == "leased 0"


async def test_an_acknowledged_cancel_cancels_and_needs_no_document(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    await desk.ask_cancel(order_id)
    assert await desk.acknowledge(Acknowledgement(order_id, token)) == ["DOCUMENT_REQUIRED"]
    assert await desk.acknowledge(Acknowledgement(order_id, token, "SO-1")) == ["ACKNOWLEDGED"]
    (delivery,) = await desk.claim()
    assert delivery.kind == "CANCELLED"
    assert await desk.acknowledge(Acknowledgement(order_id, token_of(delivery))) == ["ACKNOWLEDGED"]
    order = await desk.order(order_id)
    assert (order.status, order.cancel_requested_at, order.erp_document) == ("CANCELLED", None, "SO-1")
    assert state_of(await desk.delivery(order_id)) == "done 0"


async def test_a_refused_cancel_is_the_erps_right(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    await desk.acknowledge(Acknowledgement(order_id, token, "SO-1"))
    await desk.ask_cancel(order_id)
    token = await desk.claim_one()
    refusal = Rejection(order_id, token, "ALREADY_SHIPPED", "it left yesterday", permanent=True)
    assert await desk.reject(refusal) == ["REJECTED"]
    row, order = await desk.delivery(order_id), await desk.order(order_id)
    assert (state_of(row), row.last_code, row.acked_revision) == ("done 0", "ALREADY_SHIPPED", 2)
    assert (order.status, order.cancel_requested_at) == ("ACKNOWLEDGED", None)


async def test_a_refused_cancel_of_what_was_never_acknowledged_delivers_the_order(desk: Desk) -> None:
    ((order_id, _),) = await leased(desk)
    await desk.ask_cancel(order_id)
    await desk.let_expire(order_id)
    token = await desk.claim_one()
    await desk.reject(Rejection(order_id, token, "UNKNOWN_ORDER", "never seen", permanent=True))
    (delivery,) = await desk.claim()
    assert delivery.kind == "NEW"


async def test_what_a_rejection_said_is_kept_until_the_order_is_acknowledged(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    await desk.reject(Rejection(order_id, token, "NO_STOCK", "none left", retry_after_seconds=0))
    row = await desk.delivery(order_id)
    assert (row.last_code, row.last_error) == ("NO_STOCK", "none left")
    await desk.acknowledge(Acknowledgement(order_id, await desk.claim_one(), "SO-1"))
    row = await desk.delivery(order_id)
    assert (row.last_code, row.last_error) == ("", "")
    assert await desk.timeline(order_id) == ["CREATED", "LEASED", "REJECTED", "LEASED", "ACKNOWLEDGED"]


async def test_a_worker_may_ask_for_a_longer_pause(desk: Desk) -> None:
    ((order_id, token),) = await leased(desk)
    await desk.reject(Rejection(order_id, token, "CLOSED", "inventory", retry_after_seconds=3600))
    row = await desk.delivery(order_id)
    assert state_of(row) == "backing off 1"
    assert (row.available_at - (await desk.order(order_id)).created_at).total_seconds() >= 3600

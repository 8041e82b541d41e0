"""The table of events, where transactions meet: each event once, and none for ever."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from tandem_server.domain.routing import Routes
from tandem_server.rpc import erp_event_bodies
from tandem_server.storage.tables import erp_events as events
from tandem_server.usecases import erp_events
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.erp_events import Event, Result
from tandem_server.usecases.forgetting import RULES, forget

from .conftest import EVERYWHERE
from .desk import Desk

pytestmark = EVERYWHERE

A_MINUTE, A_WEEK = timedelta(minutes=1), timedelta(days=7)


def event(desk: Desk, event_id: str, what: str = "order.status_changed", **data: Any) -> Event:
    body = json.dumps({"type": what, "timestamp": "2024-01-01T00:00:00Z", "data": data}).encode()
    return erp_event_bodies.event(desk.caller, event_id, body)


async def receive(desk: Desk, *told: Event) -> list[str]:
    routes = Routes({desk.caller.source: desk.erp})
    results = await desk.database.write(lambda tx: erp_events.receive(tx, routes, told))
    return [result.outcome if isinstance(result, Result) else result.reason for result in results]


async def stored(desk: Desk) -> dict[str, Any]:
    rows = await desk.database.read(lambda tx: tx.rows(select(events).where(events.c.erp == desk.erp)))
    return {row.event_id: row for row in rows}


async def test_an_event_counts_once_within_a_transaction_and_across_transactions(desk: Desk) -> None:
    (order_id,) = await desk.place()
    one = event(desk, "e1", order_id=order_id, status="SHIPPED")
    other = event(desk, "e1", order_id=order_id, status="DELIVERED")
    assert await receive(desk, one, one, other) == ["APPLIED", "DUPLICATE", "EVENT_ID_REUSED"]
    assert await receive(desk, other, one) == ["EVENT_ID_REUSED", "DUPLICATE"]
    assert (await desk.order(order_id)).status == "SHIPPED"
    assert list(await stored(desk)) == ["e1"]


async def test_racing_transactions_of_one_event_count_once(desk: Desk) -> None:
    """They see nothing of each other until the unique key stops them: as two servers do."""
    ids = await desk.place(2)
    for number, order_id in enumerate(ids):
        told = event(desk, f"e{number}", order_id=order_id, status="SHIPPED")
        seen = await asyncio.gather(*(receive(desk, told) for _ in range(10)))
        assert sorted(outcome for (outcome,) in seen) == ["APPLIED", *["DUPLICATE"] * 9]
        assert await desk.timeline(order_id) == ["CREATED", "STATUS_UPDATED"]
    customer = (await desk.order(ids[0])).customer_id
    told = event(desk, "e2", "customer.linked", id=customer, erp_number="K-1")
    seen = await asyncio.gather(*(receive(desk, told) for _ in range(10)))
    assert sorted(outcome for (outcome,) in seen) == ["APPLIED", *["DUPLICATE"] * 9]


async def test_many_events_of_many_orders_in_any_order_end_well(desk: Desk) -> None:
    """Groups lock their orders in one order, so two servers do not stop each other for long."""
    ids = await desk.place(20)
    told = [
        event(desk, f"e{n}-{status}", order_id=each, status=status)
        for n, each in enumerate(ids)
        for status in ("SHIPPED", "DELIVERED")
    ]
    await asyncio.gather(receive(desk, *told[::-1]), *(receive(desk, *told[start::4]) for start in range(4)))
    assert {(await desk.order(each)).status for each in ids} == {"DELIVERED"}
    assert len(await stored(desk)) == 40
    assert {tuple(await desk.timeline(each)) for each in ids} == {("CREATED", "STATUS_UPDATED", "STATUS_UPDATED")}


async def test_one_event_that_fails_spoils_no_other(desk: Desk) -> None:
    (order_id,) = await desk.place()
    good = event(desk, "e1", order_id=order_id, status="SHIPPED")
    unknown = event(desk, "e2", order_id="ord_01h455vb4pex5vsknk084sn02q", status="SHIPPED")
    bad = event(desk, "e3", order_id=order_id, status="NEW")
    assert await receive(desk, unknown, bad, good) == ["REFUSED", "INVALID_FIELDS", "APPLIED"]
    assert {name: row.outcome for name, row in (await stored(desk)).items()} == {
        "e1": "APPLIED",
        "e2": "REFUSED",
        "e3": "INVALID",
    }


def ack(desk: Desk, event_id: str, order_id: str, document: str, revision: int = 1) -> Event:
    return event(desk, event_id, "order.acknowledged", order_id=order_id, erp_document=document, revision=revision)


async def test_an_acknowledgement_without_a_lease_counts_by_its_revision(desk: Desk) -> None:
    """Never leased, leased, given up, dead, amended meanwhile, called off: only the revision leased last counts."""
    never, expired, dead, amended, called_off = await desk.place(5)
    assert await receive(desk, ack(desk, "e1", never, "SO-1")) == ["REFUSED"]
    tokens = {d.stored.order.id: d.stored.delivery.lease_token for d in await desk.claim()}
    await desk.let_expire(expired)
    assert await receive(desk, ack(desk, "e2", expired, "SO-2")) == ["APPLIED"]
    assert (await desk.delivery(expired)).available_at is None
    await desk.set(dead, dead_at=(await desk.delivery(dead)).lease_expires_at, available_at=None, lease_token=None)
    assert await receive(desk, ack(desk, "e3", dead, "SO-3")) == ["APPLIED"]
    assert (await desk.delivery(dead)).dead_at is None
    await desk.amend(amended)
    assert await receive(desk, ack(desk, "e4", amended, "SO-4")) == ["APPLIED"]
    row = await desk.delivery(amended)
    assert (row.acked_revision, row.lease_token, row.available_at is None) == (1, None, False)
    late = Acknowledgement(amended, tokens[amended], "SO-4")
    assert await desk.acknowledge(late) == ["ALREADY_ACKNOWLEDGED"]
    await desk.ask_cancel(called_off)
    await desk.let_expire(called_off)
    await desk.claim()
    assert await receive(desk, ack(desk, "e5", called_off, "", 1)) == ["STALE"]
    assert await receive(desk, ack(desk, "e6", called_off, "", 2)) == ["APPLIED"]
    assert (await desk.order(called_off)).status == "CANCELLED"


async def test_events_are_forgotten_in_time(desk: Desk) -> None:
    """What is settled or unknown after 7 days, what somebody may have to look at after 90; no update is lost."""
    (order_id,) = await desk.place()
    ages = {"young": A_WEEK - A_MINUTE, "old": A_WEEK + A_MINUTE, "ancient": timedelta(days=90) + A_MINUTE}
    for age, passed in ages.items():
        done = event(desk, f"{age} done", order_id=order_id, status="SHIPPED")
        parked = event(desk, f"{age} parked", erp_document=f"SO-{age}", status="SHIPPED")
        await receive(desk, done, parked, event(desk, f"{age} unknown", "lunch.served"))
        for row in (await stored(desk)).values():
            if row.event_id.startswith(age):
                moved = update(events).where(events.c.id == row.id).values(received_at=row.received_at - passed)
                await desk.database.write(lambda tx, moved=moved: tx.execute(moved))  # type: ignore[misc]
    for rule in RULES:
        await forget(desk.database, rule, asyncio.Event())
    assert set(await stored(desk)) == {"young done", "young parked", "young unknown", "old parked"}
    (delivery,) = await desk.claim()
    await desk.acknowledge(Acknowledgement(order_id, delivery.stored.delivery.lease_token, "SO-ancient"))
    assert (await desk.timeline(order_id)).count("STATUS_UPDATED") == 4

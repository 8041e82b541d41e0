"""An update of a document that nobody has acknowledged yet is applied when somebody does, whoever comes last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy import update as sql_update

from tandem_server.storage.database import Transaction
from tandem_server.storage.tables import orders, status_updates
from tandem_server.usecases.acknowledgements import Acknowledgement, acknowledge
from tandem_server.usecases.housekeeping import Housekeeping
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.parking import settle
from tandem_server.usecases.statuses import StatusUpdate, update

from .conftest import EVERYWHERE
from .desk import Desk, told

pytestmark = EVERYWHERE


def early(event_id: str = "e1", status: str = "SHIPPED", document: str = "SO-1") -> StatusUpdate:
    return told(event_id, "", erp_document=document, status=status)


async def outcomes(desk: Desk, *updates: StatusUpdate) -> list[tuple[str, bool]]:
    return [(str(result.outcome), result.parked) for result in await desk.tell(*updates)]


async def leased(desk: Desk) -> Acknowledgement:
    """Place an order, lease it, and return how it will be acknowledged."""
    (order_id,) = await desk.place()
    return Acknowledgement(order_id, await desk.claim_one(), "SO-1")


async def stored(desk: Desk) -> dict[str, tuple[str, Any]]:
    """Return what became of each update, and what it still waits for."""
    query = select(status_updates).where(status_updates.c.erp == desk.erp)
    rows = await desk.database.read(lambda tx: tx.rows(query))
    assert all((row.order_id is None) == (row.erp_document is not None) for row in rows)
    return {row.event_id: (row.outcome, row.erp_document) for row in rows}


async def test_what_comes_early_waits_for_its_acknowledgement(desk: Desk) -> None:
    item = await leased(desk)
    assert await outcomes(desk, early()) == [("PARKED", True)]
    assert await outcomes(desk, early("e2", "PROCESSING"), early("e3", "DELIVERED", "SO-2")) == [("PARKED", True)] * 2
    assert await desk.acknowledge(item) == ["ACKNOWLEDGED"]
    order = await desk.order(item.order_id)
    assert (order.status, order.erp_document) == ("SHIPPED", "SO-1")
    assert await stored(desk) == {"e1": ("APPLIED", None), "e2": ("STALE", None), "e3": ("PARKED", "SO-2")}
    assert (await desk.timeline(item.order_id))[-2:] == ["STATUS_UPDATED", "STATUS_UPDATED"]


async def test_a_parked_event_counts_once_and_says_that_it_is_parked(desk: Desk) -> None:
    item = await leased(desk)
    told_twice = early(), early(), early(status="DELIVERED")
    assert await outcomes(desk, *told_twice) == [("PARKED", True), ("DUPLICATE", True), ("EVENT_ID_REUSED", False)]
    assert await outcomes(desk, *told_twice) == [
        *(("DUPLICATE", True), ("DUPLICATE", True), ("EVENT_ID_REUSED", False)),
    ]
    await desk.acknowledge(item)
    assert await outcomes(desk, early()) == [("DUPLICATE", False)]
    assert (await desk.timeline(item.order_id)).count("STATUS_UPDATED") == 1


async def test_an_unknown_order_is_not_found_and_not_parked(desk: Desk) -> None:
    assert await outcomes(desk, told("e1", "ord_01h455vb4pex5vsknk084sn02q", status="SHIPPED")) == [
        ("NOT_FOUND", False)
    ]
    assert await stored(desk) == {}


async def test_a_strangers_acknowledgement_of_the_same_document_is_not_meant(desk: Desk) -> None:
    stranger = await Desk.opened(desk.database, f"not-{desk.erp}")
    await outcomes(desk, early())
    item = await leased(stranger)
    await stranger.acknowledge(item)
    assert (await stranger.order(item.order_id)).status == "ACKNOWLEDGED"
    assert await stored(desk) == {"e1": ("PARKED", "SO-1")}


async def test_parked_after_the_acknowledgements_look_and_before_its_commit(desk: Desk) -> None:
    """The acknowledgement is the last to commit: who parked waits for it."""
    if desk.database.dialect == "sqlite":
        return  # one writer at a time is how SQLite works
    item = await leased(desk)

    async def unit(tx: Transaction) -> asyncio.Task[None]:
        await acknowledge(tx, desk.caller, [item])
        assert await outcomes(desk, early()) == [("PARKED", True)]
        settling = asyncio.create_task(settle(desk.database, desk.caller, ["SO-1"]))
        await asyncio.sleep(0.3)
        assert not settling.done()
        return settling

    await (await desk.database.write(unit))
    assert (await desk.order(item.order_id)).status == "SHIPPED"
    assert await stored(desk) == {"e1": ("APPLIED", None)}


async def test_acknowledged_while_an_update_is_about_to_be_parked(desk: Desk) -> None:
    """The update is the last to commit: it looks again, and finds the acknowledgement."""
    if desk.database.dialect == "sqlite":
        return
    item = await leased(desk)

    async def unit(tx: Transaction) -> list[Any]:
        results = await update(tx, desk.caller, [early()])
        assert await desk.acknowledge(item) == ["ACKNOWLEDGED"]
        return results

    (result,) = await desk.database.write(unit)
    assert (result.outcome, result.parked) == ("PARKED", True)
    assert (await desk.order(item.order_id)).status == "ACKNOWLEDGED"
    await settle(desk.database, desk.caller, ["SO-1"])
    assert (await desk.order(item.order_id)).status == "SHIPPED"
    assert await stored(desk) == {"e1": ("APPLIED", None)}


@pytest.fixture
async def housekeeping(desk: Desk) -> AsyncIterator[Housekeeping]:
    made = Housekeeping(desk.database, KeyRing(desk.database, seconds=1), seconds=0.05)
    yield made
    await made.close()


async def until_settled(desk: Desk) -> None:
    async with asyncio.timeout(10):
        while any(outcome == "PARKED" for outcome, _ in (await stored(desk)).values()):  # noqa: ASYNC110 - a database rings no bell
            await asyncio.sleep(0.02)


async def test_what_a_dead_server_left_is_found_in_the_next_round(desk: Desk, housekeeping: Housekeeping) -> None:
    item = await leased(desk)
    await desk.acknowledge(item)
    await leave_behind(desk, item.order_id)
    housekeeping.start()
    await until_settled(desk)
    assert (await desk.order(item.order_id)).status == "SHIPPED"


async def leave_behind(desk: Desk, order_id: str) -> None:
    """Make an update that was applied look as if it were parked."""
    await desk.tell(told("e1", order_id, status="SHIPPED"))
    parked = sql_update(status_updates).where(status_updates.c.erp == desk.erp)
    await desk.database.write(
        lambda tx: tx.execute(parked.values(order_id=None, erp_document="SO-1", outcome="PARKED"))
    )
    reset = sql_update(orders).where(orders.c.id == order_id).values(status="ACKNOWLEDGED")
    await desk.database.write(lambda tx: tx.execute(reset))


async def test_more_than_one_acknowledgement_can_apply(desk: Desk, housekeeping: Housekeeping) -> None:
    item = await leased(desk)
    await desk.tell(*(early(f"e{n}") for n in range(600)))
    await desk.acknowledge(item)
    assert [outcome for outcome, _ in (await stored(desk)).values()].count("PARKED") == 100
    housekeeping.start()
    await until_settled(desk)
    assert (await desk.timeline(item.order_id)).count("STATUS_UPDATED") == 600


async def test_everybody_looks_at_once_and_each_update_counts_once(desk: Desk) -> None:
    item = await leased(desk)
    calls = [desk.tell(early(f"e{n}")) for n in range(20)]
    looks = [settle(desk.database, desk.caller, ["SO-1"]) for _ in range(5)]
    await asyncio.gather(*calls[:10], desk.acknowledge(item), *looks, *calls[10:])
    await settle(desk.database, desk.caller, ["SO-1"])
    timeline = await desk.timeline(item.order_id)
    assert timeline.count("STATUS_UPDATED") == 20
    assert sorted(outcome for outcome, _ in (await stored(desk)).values()) == ["APPLIED", *["STALE"] * 19]

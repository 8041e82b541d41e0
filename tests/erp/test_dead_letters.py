"""Dead letters are seen by those they concern, and replayed: by id, by what they died of and by when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tandem_server.domain.lifecycle import backoff
from tandem_server.domain.principals import SCOPES, Caller, Principal
from tandem_server.storage import dead_letters
from tandem_server.storage.dead_letters import DeadFilters
from tandem_server.usecases.dead_letters import Replayed, replay, replay_found
from tandem_server.usecases.leases import Rejection

from .desk import MAX_FAILURES, Desk, id_of, state_of, token_of

OPERATOR = Caller(Principal("operator", source=None, erp=None, scopes=SCOPES["operator"]))


async def bury(desk: Desk, number: int, code: str = "UNKNOWN_SKU") -> list[str]:
    """Place orders and let them die."""
    await desk.place(number)
    batch = await desk.claim(number)
    await desk.reject(*(Rejection(id_of(x), token_of(x), code, "no such thing", permanent=True) for x in batch))
    return [id_of(delivery) for delivery in batch]


async def page(desk: Desk, after_id: str = "", limit: int = 50, **filters: Any) -> dead_letters.Page:
    wanted = DeadFilters(**{"erp": desk.erp} | filters)
    return await desk.database.read(lambda tx: dead_letters.page(tx, wanted, after_id=after_id, limit=limit))


async def found(desk: Desk, **filters: Any) -> list[str]:
    return [stored.order.id for stored in (await page(desk, **filters)).orders]


async def test_they_are_listed_by_id_in_pages(desk: Desk) -> None:
    await desk.place(2)
    await desk.claim(2)
    ids = await bury(desk, 5)
    seen, after_id, more = [], "", True
    while more:
        orders, after_id, more = await page(desk, after_id, limit=2)
        assert len(orders) <= 2
        seen += [stored.order.id for stored in orders]
    assert seen == sorted(ids)


async def test_a_page_ends_at_its_bytes(desk: Desk) -> None:
    ids = await bury(desk, 3)
    for order_id in ids:
        await desk.set(order_id, bytes=600_000)
    orders, last_id, more = await page(desk)
    assert ([stored.order.id for stored in orders], last_id, more) == (ids[:1], ids[0], True)


async def test_they_are_found_by_code_and_time(desk: Desk) -> None:
    first, second = await bury(desk, 1, "UNKNOWN_SKU") + await bury(desk, 1, "CLOSED")
    died = (await desk.delivery(first)).dead_at
    await desk.set(second, dead_at=died + timedelta(hours=1))
    assert await found(desk, code="CLOSED") == [second]
    assert await found(desk, after=died) == [second]
    assert await found(desk, before=died + timedelta(seconds=1)) == [first]
    assert await found(desk, code="CLOSED", before=died + timedelta(seconds=1)) == []


async def test_an_erp_sees_its_own_and_an_operator_all(desk: Desk) -> None:
    stranger = await Desk.opened(desk.database, f"not-{desk.erp}")
    own, other = await bury(desk, 1), await bury(stranger, 1)
    assert await found(desk) == own
    assert set(await found(desk, erp=None, after=(await desk.delivery(own[0])).dead_at)) >= set(other)
    assert await desk.replay(*other) == ["NOT_FOUND"]
    assert await desk.database.write(lambda tx: replay(tx, OPERATOR, other)) == ["REPLAYED"]
    assert state_of(await desk.delivery(other[0])) == "claimable 0"


async def test_a_replayed_order_starts_over(desk: Desk) -> None:
    (order_id,) = await bury(desk, 1)
    assert await desk.replay(order_id) == ["REPLAYED"]
    assert await desk.replay(order_id) == ["NOT_DEAD"]
    (delivery,) = await desk.claim()
    assert (delivery.kind, delivery.stored.delivery.attempts) == ("NEW", 2)
    assert await desk.timeline(order_id) == ["CREATED", "LEASED", "REJECTED", "BURIED", "REPLAYED", "LEASED"]


async def test_one_that_cannot_be_replayed_spoils_no_other(desk: Desk) -> None:
    (waiting,) = await desk.place()
    await desk.set(waiting, available_at=None)
    (dead,) = await bury(desk, 1)
    assert await desk.replay("ord_nobody", waiting, dead) == ["NOT_FOUND", "NOT_DEAD", "REPLAYED"]


async def test_what_died_of_one_thing_is_replayed_in_chunks_up_to_a_bound(desk: Desk) -> None:
    (other,) = await bury(desk, 1, "CLOSED")
    await bury(desk, 1100)
    filters = DeadFilters(erp=desk.erp, code="UNKNOWN_SKU")
    assert await replay_found(desk.database, desk.caller, filters, most=1000) == Replayed(1000, more=True)
    assert await replay_found(desk.database, desk.caller, filters) == Replayed(100, more=False)
    assert await replay_found(desk.database, desk.caller, filters) == Replayed(0, more=False)
    assert state_of(await desk.delivery(other)) == "dead 1"


def test_a_crash_loop_buries_nothing_within_an_hour() -> None:
    shortest: list[Any] = [backoff(failures, 0) for failures in range(MAX_FAILURES)]
    assert shortest[:4] == [0, 0, 30, 60]
    assert sum(shortest) >= 3600

"""Claims: equal shares for all who come at once, one holder at a time, and nobody stands in the others' way."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest
from sqlalchemy import insert

from tandem_server.storage.database import Transaction
from tandem_server.storage.tables import deliveries
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.deliveries import Delivery, Demand, claim
from tandem_server.usecases.leases import Rejection

from .conftest import EVERYWHERE
from .desk import MAX_FAILURES, Desk, id_of, state_of, token_of

pytestmark = EVERYWHERE

WORKERS = 4


async def fill(desk: Desk, number: int) -> list[str]:
    """Place 40 orders that have waited longest, and let as many bare delivery rows wait behind them."""
    ids = await desk.place(40)
    pattern = dict(vars(await desk.delivery(ids[0])))
    later = pattern["available_at"] + timedelta(seconds=1)
    rows = [pattern | {"order_id": f"{desk.erp}-{n:06d}", "available_at": later} for n in range(number - 40)]
    for start in range(0, len(rows), 5000):
        part = rows[start : start + 5000]
        await desk.database.write(partial(Transaction.execute, statement=insert(deliveries), rows=part))
    return ids


@pytest.mark.parametrize("number", [40, 1000, 20_000])
async def test_four_at_once_get_equal_shares(desk: Desk, number: int) -> None:
    ids = await fill(desk, number)
    together = asyncio.Barrier(WORKERS if desk.database.dialect != "sqlite" else 1)

    async def unit(tx: Transaction, *, worker: str) -> list[Delivery]:
        got = await claim(tx, desk.caller, Demand(desk.erp, worker, worker, 10, 60), max_failures=MAX_FAILURES)
        await together.wait()  # each still holds its locks while the others claim
        return got

    claims = [desk.database.write(partial(unit, worker=f"w{n}")) for n in range(WORKERS)]
    async with asyncio.timeout(5):
        shares = await asyncio.gather(*claims)
    assert [len(share) for share in shares] == [10] * WORKERS
    assert sorted(id_of(delivery) for share in shares for delivery in share) == sorted(ids)


async def test_orders_are_placed_while_a_claim_is_open(desk: Desk) -> None:
    if desk.database.dialect == "sqlite":
        return  # one writer at a time is how SQLite works
    await desk.place(20)

    async def unit(tx: Transaction) -> None:
        await claim(tx, desk.caller, Demand(desk.erp, "w", "w", 10, 60), max_failures=MAX_FAILURES)
        async with asyncio.timeout(1):
            await desk.place(5)

    await desk.database.write(unit)


async def test_without_skipping_a_claim_waits_and_is_never_wrong(desk: Desk) -> None:
    ids = await desk.place(40)
    shares = await asyncio.gather(*(desk.claim(10, f"w{n}", skip_locked=False) for n in range(WORKERS)))
    rest = await desk.claim(40)
    held = [id_of(delivery) for share in (*shares, rest) for delivery in share]
    assert sorted(held) == sorted(ids)


async def test_one_claim_has_one_token_and_the_longest_waiting_first(desk: Desk) -> None:
    ids = await desk.place(5)
    got = await desk.claim(3)
    assert [id_of(delivery) for delivery in got] == ids[:3]
    (token,) = {token_of(delivery) for delivery in got}
    assert len(token) >= 22  # 128 bits in base64


async def test_a_batch_ends_at_its_bytes_and_never_empty(desk: Desk) -> None:
    await desk.place(5, size=400)
    assert [len(await desk.claim(max_bytes=1000)) for _ in range(3)] == [2, 2, 1]
    await desk.place(2, size=4000)
    assert len(await desk.claim(max_bytes=1000)) == 1


async def test_no_order_has_two_holders_at_a_time(desk: Desk) -> None:
    ids = await desk.place(60)
    held: dict[str, list[tuple[datetime, datetime, int]]] = defaultdict(list)

    async def work(worker: str) -> None:
        while len(done) < len(ids):
            for delivery in await desk.claim(5, worker, seconds=1):
                row = delivery.stored.delivery
                finishes = random.random() < 0.7
                items = Acknowledgement(id_of(delivery), token_of(delivery), f"SO-{id_of(delivery)}")
                finished = finishes and await desk.acknowledge(items) == ["ACKNOWLEDGED"]
                if finished:
                    done.add(id_of(delivery))
                held[id_of(delivery)].append((delivery.leased_at, row.lease_expires_at, row.attempts))
                # The next attempts come at once: only leases, not pauses, keep holders apart here.
                await desk.set(id_of(delivery), failures=0)
            await asyncio.sleep(0.05)

    done: set[str] = set()
    async with asyncio.timeout(20):
        await asyncio.gather(*(work(f"w{n}") for n in range(WORKERS)))
    for intervals in held.values():
        ordered = sorted(intervals)
        assert all(end <= start for (_, end, _), (start, _, _) in pairwise(ordered))
        assert [attempt for _, _, attempt in ordered] == list(range(1, len(ordered) + 1))


async def test_a_crashed_workers_order_comes_back_by_itself(desk: Desk) -> None:
    (order_id,) = await desk.place()
    await desk.claim(seconds=1)
    assert await desk.claim() == []
    await asyncio.sleep(1.05)
    (delivery,) = await desk.claim()
    assert delivery.stored.delivery.attempts == 2
    assert await desk.timeline(order_id) == ["CREATED", "LEASED", "EXPIRED", "LEASED"]


async def test_what_was_buried_says_why_and_makes_room_for_the_next(desk: Desk) -> None:
    first, second = await desk.place(2)
    await desk.claim(1)
    await desk.let_expire(first)
    await desk.set(first, failures=MAX_FAILURES - 1)
    assert [id_of(delivery) for delivery in await desk.claim(1)] == [second]
    row = await desk.delivery(first)
    assert (row.dead_at is not None, row.last_code) == (True, "LEASE_EXPIRED")
    assert await desk.timeline(first) == ["CREATED", "LEASED", "EXPIRED", "BURIED"]


async def test_a_poison_order_blocks_nobody(desk: Desk) -> None:
    poison, *others = await desk.place(50)
    while batch := await desk.claim(10):
        for delivery in batch:
            if id_of(delivery) == poison:
                await desk.reject(Rejection(poison, token_of(delivery), "UNKNOWN_SKU", "no such thing"))
            else:
                item = Acknowledgement(id_of(delivery), token_of(delivery), f"SO-{id_of(delivery)}")
                await desk.acknowledge(item)
    assert {state_of(await desk.delivery(each)) for each in others} == {"done 0"}
    assert state_of(await desk.delivery(poison)) == "backing off 2"

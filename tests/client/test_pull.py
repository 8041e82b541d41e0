"""A worker's life with `tandem.orders.pull`, before real servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from conftest import Party, change_database
from retail import hand_over

from tandem.erp.v1.delivery_pb2 import Delivery as Leased
from tandem_client import (
    Deliveries,
    Delivery,
    FailedPrecondition,
    InvalidArgument,
    StaleLease,
    Tandem,
    Unauthenticated,
)

Leave = Callable[[Tandem], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("deadline")


@pytest.fixture
async def crm(party: Party) -> AsyncIterator[Tandem]:
    async with party.crm() as crm:
        yield crm


@pytest.fixture
async def erp(party: Party) -> AsyncIterator[Tandem]:
    async with party.worker() as worker:
        yield worker


async def take(deliveries: Deliveries, count: int) -> list[Delivery]:
    return [await anext(deliveries) for _ in range(count)]


async def rest(erp: Tandem) -> list[Leased]:
    """Return what another worker can lease now."""
    return list(await erp.erp.lease("other", max_orders=1000, lease_seconds=60))


async def test_every_order_comes_once_and_the_iteration_ends_when_nothing_waits(crm: Tandem, erp: Tandem) -> None:
    made = await hand_over(crm, 30)
    seen: Counter[str] = Counter()
    async with erp.orders.pull("w", batch_size=7, max_outstanding=10, until_empty=True) as deliveries:
        async for delivery in deliveries:
            seen[delivery.order.id] += 1
            await delivery.acknowledge(f"SO-{delivery.order.external_id}")
    assert seen == Counter(order.id for order in made)
    assert await rest(erp) == []


async def test_several_tasks_share_one_iteration_and_all_of_them_end(crm: Tandem, erp: Tandem) -> None:
    made = await hand_over(crm, 20)
    shares: list[list[str]] = [[], [], [], []]

    async def work(deliveries: Deliveries, share: list[str]) -> None:
        async for delivery in deliveries:
            await asyncio.sleep(0.01)
            await delivery.acknowledge(f"SO-{delivery.order.external_id}")
            share.append(delivery.order.id)

    async with erp.orders.pull("w", until_empty=True) as deliveries:
        await asyncio.gather(*(work(deliveries, share) for share in shares))
    assert sorted(itertools.chain(*shares)) == sorted(order.id for order in made)
    assert all(shares)


async def leave_by_break(erp: Tandem) -> None:
    async with erp.orders.pull("w", batch_size=4, max_outstanding=10) as deliveries:
        async for delivery in deliveries:
            await delivery.acknowledge(f"SO-{delivery.order.external_id}")
            break


async def leave_by_error(erp: Tandem) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with erp.orders.pull("w", batch_size=4, max_outstanding=10) as deliveries:
            first, *_ = await take(deliveries, 10)
            await first.acknowledge(f"SO-{first.order.external_id}")
            raise ZeroDivisionError


async def leave_by_cancellation(erp: Tandem) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1), erp.orders.pull("w", batch_size=4, max_outstanding=10) as deliveries:
            first, *_ = await take(deliveries, 10)
            await first.acknowledge(f"SO-{first.order.external_id}")
            await asyncio.sleep(60)


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error, leave_by_cancellation])
async def test_whoever_leaves_gives_back_what_is_not_finished(crm: Tandem, erp: Tandem, leave: Leave) -> None:
    await hand_over(crm, 30)
    before = asyncio.all_tasks()
    await leave(erp)
    left = time.monotonic()
    back = await rest(erp)
    while len(back) < 29 and time.monotonic() - left < 2:
        back += await rest(erp)
    assert len({delivery.order.id for delivery in back}) == 29
    assert asyncio.all_tasks() == before


async def test_leaving_is_quick(crm: Tandem, erp: Tandem) -> None:
    await hand_over(crm, 5)
    async with erp.orders.pull("w") as deliveries:
        await take(deliveries, 5)
        started = time.monotonic()
    assert time.monotonic() - started < 2


async def test_acknowledgements_under_way_still_count_for_one_who_leaves(crm: Tandem, erp: Tandem) -> None:
    await hand_over(crm, 5)
    async with erp.orders.pull("w") as deliveries:
        held = await take(deliveries, 5)
        asking = [asyncio.create_task(d.acknowledge(f"SO-{d.order.external_id}")) for d in held]
        await asyncio.sleep(0)
    await asyncio.gather(*asking)
    assert await rest(erp) == []


async def test_a_lease_lasts_as_long_as_the_work(crm: Tandem, erp: Tandem) -> None:
    await hand_over(crm, 3)
    async with erp.orders.pull("slow", lease_seconds=1, until_empty=True) as deliveries:
        held = await take(deliveries, 3)
        for _ in range(3):
            await asyncio.sleep(1)
            assert await rest(erp) == []
        for delivery in held:
            await delivery.acknowledge(f"SO-{delivery.order.external_id}")
    assert await rest(erp) == []


async def test_a_lost_lease_is_noticed_and_its_acknowledgement_refused(party: Party, crm: Tandem, erp: Tandem) -> None:
    (made,) = await hand_over(crm, 1)
    async with erp.orders.pull("slow", lease_seconds=1) as deliveries:
        (delivery,) = await take(deliveries, 1)
        change_database(party.stack, f"UPDATE deliveries SET lease_token = 'another' WHERE order_id = '{made.id}'")
        await asyncio.sleep(1)
        assert delivery.lost
        with pytest.raises(StaleLease) as refused:
            await delivery.acknowledge("SO-1")
    assert refused.value.reason == "STALE_LEASE"


async def test_an_order_rejected_for_good_does_not_come_again(crm: Tandem, erp: Tandem) -> None:
    (made,) = await hand_over(crm, 1)
    async with erp.orders.pull("w", until_empty=True) as deliveries:
        async for delivery in deliveries:
            await delivery.reject("UNKNOWN_SKU", "no such article", field="lines[0].sku", permanent=True)
    progress = (await crm.orders.get(made.id)).delivery
    assert (progress.last_code, progress.attempts) == ("UNKNOWN_SKU", 1)
    assert await rest(erp) == []


async def test_a_released_order_comes_again_at_once(crm: Tandem, erp: Tandem) -> None:
    await hand_over(crm, 1)
    async with erp.orders.pull("w") as deliveries:
        (first,) = await take(deliveries, 1)
        await first.release()
        (second,) = await take(deliveries, 1)
    assert second.message.attempt == first.message.attempt + 1


async def test_a_wrong_document_fails_alone_and_the_order_stays_in_hand(crm: Tandem, erp: Tandem) -> None:
    await hand_over(crm, 3)
    async with erp.orders.pull("w") as deliveries:
        one, two, three = await take(deliveries, 3)
        first, wrong, last = await asyncio.gather(
            one.acknowledge("SO-1"), two.acknowledge(" SO-2"), three.acknowledge("SO-3"), return_exceptions=True
        )
        assert (first, last) == (None, None)
        assert isinstance(wrong, InvalidArgument)
        with pytest.raises(FailedPrecondition) as conflict:
            await two.acknowledge("SO-1")
        assert conflict.value.reason == "DOCUMENT_CONFLICT"
        await two.acknowledge("SO-2")


async def test_a_key_that_is_not_known_ends_the_iteration(party: Party) -> None:
    async with Tandem(party.stack.grpc, key="nobody") as erp, erp.orders.pull("w") as deliveries:
        with pytest.raises(Unauthenticated):
            await anext(deliveries)


async def test_a_pull_without_room_or_lease_is_a_mistake(erp: Tandem) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        erp.orders.pull("w", max_outstanding=0)

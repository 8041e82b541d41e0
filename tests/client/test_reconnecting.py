"""A pull outlives its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from conftest import new_party
from retail import hand_over
from stack import Stack

pytestmark = pytest.mark.usefixtures("deadline")


async def test_a_pull_goes_on_after_a_restart_and_holds_no_more_than_its_limit(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    stack = make_stack(make_database(database))
    party = new_party(stack)
    async with party.crm() as crm, party.worker() as erp:
        made = await hand_over(crm, 30)
        async with erp.orders.pull("w", batch_size=5, max_outstanding=10) as deliveries:
            held = [await anext(deliveries) for _ in range(10)]
            await asyncio.to_thread(stack.server.stop)
            await asyncio.to_thread(stack.server.start)
            await asyncio.to_thread(stack.wait_until_ready)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(deliveries), 3)
            seen: list[str] = []
            while len(seen) < 30:
                delivery = held.pop() if held else await anext(deliveries)
                await delivery.acknowledge(f"SO-{delivery.order.external_id}")
                seen.append(delivery.order.id)
        assert sorted(seen) == sorted(order.id for order in made)
    stack.stop()

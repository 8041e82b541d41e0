"""A pull outlives its streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from conftest import Party, new_party
from retail import hand_over
from soaking.proxy import Proxy
from stack import Stack

from tandem_client import Tandem

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


async def test_leaving_is_quick_where_nothing_answers_any_more(party: Party) -> None:
    """The connection is there, and half-open: what is under way never ends."""
    way = Proxy(party.stack.grpc)
    await way.open()
    async with party.crm() as crm, Tandem(way.address, key=party.erp_key) as erp:
        await hand_over(crm, 2)
        async with erp.orders.pull("w") as deliveries:
            held = [await anext(deliveries) for _ in range(2)]
            way.silence()
            asking = asyncio.create_task(held[0].acknowledge("SO-1"))
            await asyncio.sleep(0.1)
            left = time.monotonic()
        assert time.monotonic() - left < 4
        await asyncio.gather(asking, return_exceptions=True)
    await way.close()

"""Promise 13: a webhook counts once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from conftest import new_party
from retail import hand_over
from stack import Stack
from webhooks.sender import WHEN, Sender, sending

from tandem_client import OrderStatus, webhooks

pytestmark = pytest.mark.usefixtures("deadline")

AT_ONCE = 1000


async def send(sender: Sender, addresses: Sequence[str], body: str, times: int = AT_ONCE) -> Counter[tuple[int, str]]:
    """Send one event as many *times* at once, each time on a connection of its own, and count the replies."""
    headers = webhooks.sign(sender.secret, "e1", body)

    async def attempt(address: str) -> tuple[int, str]:
        async with sender.http.post(f"{address}/v1/webhooks/erp/{sender.erp}", data=body, headers=headers) as reply:
            told = await reply.json(content_type=None)
            return reply.status, told.get("outcome") or told["reason"]

    attempts = (attempt(addresses[number % len(addresses)]) for number in range(times))
    return Counter(await asyncio.gather(*attempts))


async def test_promise_13_a_webhook_counts_once(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    """The same id 1,000 times at once, on two servers where the database takes two, and again after a kill -9."""
    url = make_database(database)
    stacks = [make_stack(url) for _ in range(2 if database == "mysql" else 1)]
    addresses, party = [stack.http for stack in stacks], new_party(stacks[0])
    async with sending(party) as sender, party.crm() as crm:
        (order,) = await hand_over(crm, 1)

        def body(status: str) -> str:
            data = {"order_id": order.id, "status": status}
            return json.dumps({"type": "order.status_changed", "timestamp": WHEN, "data": data})

        assert await send(sender, addresses, body("SHIPPED")) == {(200, "APPLIED"): 1, (200, "DUPLICATE"): AT_ONCE - 1}
        for stack in stacks:
            stack.server.stop(signal.SIGKILL)
            stack.server.start()
        await asyncio.gather(*(asyncio.to_thread(stack.wait_until_ready) for stack in stacks))
        assert await send(sender, addresses, body("SHIPPED")) == {(200, "DUPLICATE"): AT_ONCE}
        assert await send(sender, addresses, body("DELIVERED"), 100) == {(409, "EVENT_ID_REUSED"): 100}
    async with party.crm() as crm:
        assert (await crm.orders.get(order.id)).status == OrderStatus.ORDER_STATUS_SHIPPED
        events = [event async for event in crm.orders.events(order.id)]
        assert [event.outcome for event in events] == ["", "APPLIED"]

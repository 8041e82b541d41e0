"""Promise 20, in small: a storm of cancelled calls costs the database no more connections than there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from benchmarks.storm import rage
from conftest import ask_mysql, new_party
from retail import hand_over
from sqlalchemy.engine import make_url
from stack import Stack

pytestmark = pytest.mark.usefixtures("deadline")

POOL, SECONDS, CLIENTS, RATE = 2, 3, 20, 100


async def test_promise_20_cancelled_calls_take_no_more_connections_than_the_pool_has(
    make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    """Besides the pool there is one that watches for work, and one that ends what took too long."""
    stack = make_stack(make_database("mysql"), pool_size=str(POOL))
    party = new_party(stack)
    name = make_url(stack.environment["TANDEM_DATABASE_URL"]).database
    connected = f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{name}'"
    most = 0
    async with party.crm() as crm:
        await hand_over(crm, 50)
        raging = asyncio.create_task(rage(stack.grpc, party.crm_key, 0, SECONDS, CLIENTS, RATE))
        while not raging.done():
            most = max(most, int(str((await asyncio.to_thread(ask_mysql, connected))[0][0])))
            await asyncio.sleep(0.05)
        *_, cancelled = raging.result()
        async with asyncio.timeout(2):
            await hand_over(crm, 1)
    assert cancelled > SECONDS * RATE / 2
    assert 0 < most <= POOL + 2

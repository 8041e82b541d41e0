"""The dispatcher: who waits gets its turn, a stream holds no more than it may, and what is not sent goes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from tandem_proto.errors import Unavailable
from tandem_server.rpc.erp_deliveries import written
from tandem_server.rpc.messages import AT_ONCE
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.deliveries import Delivery, Demand
from tandem_server.usecases.dispatch import Dispatcher, Stream

from .desk import MAX_FAILURES, Desk, id_of, state_of, token_of


@pytest.fixture
async def dispatcher(desk: Desk) -> AsyncIterator[Dispatcher]:
    made = Dispatcher(desk.database, max_failures=MAX_FAILURES)
    async with asyncio.timeout(20):
        yield made
    await made.close()


def demand(desk: Desk, limit: int = 10) -> Demand:
    return Demand(desk.erp, "w", "w", limit, 60)


async def acknowledge(desk: Desk, batch: list[Delivery]) -> None:
    await desk.acknowledge(*(Acknowledgement(id_of(each), token_of(each), f"SO-{id_of(each)}") for each in batch))


async def until(desk: Desk, order_id: str, state: str) -> None:
    async with asyncio.timeout(5):
        while state_of(await desk.delivery(order_id)) != state:  # noqa: ASYNC110 - a database rings no bell
            await asyncio.sleep(0.02)


async def test_who_does_not_wait_gets_what_there_is(desk: Desk, dispatcher: Dispatcher) -> None:
    assert await dispatcher.lease(desk.caller, demand(desk), 0) == []
    await desk.place(3)
    assert len(await dispatcher.lease(desk.caller, demand(desk), 0)) == 3


async def test_who_waits_is_woken_in_turn(desk: Desk, dispatcher: Dispatcher) -> None:
    waiting = [asyncio.create_task(dispatcher.lease(desk.caller, demand(desk, 1), 10)) for _ in range(3)]
    await asyncio.sleep(0.1)
    ids = await desk.place(3)
    dispatcher.wake()
    assert [id_of(each) for (each,) in await asyncio.gather(*waiting)] == ids


async def test_work_that_nobody_told_of_is_found(desk: Desk, dispatcher: Dispatcher) -> None:
    waiting = asyncio.create_task(dispatcher.lease(desk.caller, demand(desk), 10))
    await asyncio.sleep(0.1)
    await desk.place()
    async with asyncio.timeout(0.6):
        assert len(await waiting) == 1


async def test_a_wait_ends_in_time_and_leaves_nothing_behind(desk: Desk, dispatcher: Dispatcher) -> None:
    assert await dispatcher.lease(desk.caller, demand(desk), 0.3) == []
    (order_id,) = await desk.place()
    await asyncio.sleep(0.4)
    assert state_of(await desk.delivery(order_id)) == "claimable 0"


async def test_what_was_claimed_for_somebody_who_left_goes_back(desk: Desk, dispatcher: Dispatcher) -> None:
    (order_id,) = await desk.place()
    for pause in (0, 0.001, 0.003, 0.006, 0.01, 0.02):
        leaving = asyncio.create_task(dispatcher.lease(desk.caller, demand(desk), 10))
        await asyncio.sleep(pause)
        if not leaving.cancel():
            break  # it was faster
        await asyncio.wait({leaving})
        await until(desk, order_id, "claimable 0")


async def test_a_crowd_that_leaves_stops_nobody(desk: Desk, dispatcher: Dispatcher) -> None:
    for _ in range(10):
        crowd = [asyncio.create_task(dispatcher.lease(desk.caller, demand(desk), n % 2)) for n in range(10)]
        await asyncio.sleep(random.uniform(0, 0.02))
        for leaving in crowd:
            leaving.cancel()
            dispatcher.wake()
            await asyncio.sleep(0)
        await asyncio.wait(crowd)
    (order_id,) = await desk.place()
    assert [id_of(each) for each in await dispatcher.lease(desk.caller, demand(desk), 5)] == [order_id]


async def test_a_stream_begins_with_a_heartbeat_and_ends_when_empty(desk: Desk, dispatcher: Dispatcher) -> None:
    await desk.place(25)
    stream = Stream(demand(desk, 10), max_outstanding=100, until_empty=True)
    sizes = [len(batch) async for batch in dispatcher.stream(desk.caller, stream)]
    assert sizes == [0, 10, 10, 5]


async def test_a_stream_holds_no_more_than_it_may(desk: Desk, dispatcher: Dispatcher) -> None:
    await desk.place(30)
    stream = Stream(demand(desk, 10), max_outstanding=12, until_empty=True)
    held: list[Delivery] = []
    seen = 0
    async with aclosing(dispatcher.stream(desk.caller, stream)) as batches:
        async for batch in batches:
            held += batch
            seen += len(batch)
            assert len(held) <= 12
            if len(held) == 12 or seen == 30:
                await acknowledge(desk, held)
                held.clear()
                dispatcher.make_room()
    assert seen == 30


async def test_a_slow_reader_gets_no_batch_that_is_half_run_down_and_loses_none(
    desk: Desk, dispatcher: Dispatcher
) -> None:
    """The batch behind the first is claimed ahead; when its lease has run down it goes back, and is claimed anew."""
    await desk.place(2)
    stream = Stream(replace(demand(desk, 1), lease_seconds=2), max_outstanding=10, until_empty=True)
    got: list[Delivery] = []
    async for batch in dispatcher.stream(desk.caller, stream):
        got += batch
        if len(got) == 1:
            await asyncio.sleep(1)
    assert [each.stored.delivery.attempts for each in got] == [1, 2]
    assert [each.stored.delivery.failures for each in got] == [0, 0]


async def test_a_full_stream_goes_on_when_another_process_made_room(desk: Desk, dispatcher: Dispatcher) -> None:
    await desk.place(2)
    stream = Stream(demand(desk, 1), max_outstanding=1)
    async with aclosing(dispatcher.stream(desk.caller, stream)) as batches:
        assert await anext(batches) == []
        first = await anext(batches)
        following = asyncio.create_task(anext(batches))
        await asyncio.sleep(0.1)
        assert not following.done()
        await acknowledge(desk, first)
        assert len(await following) == 1


async def test_a_cut_stream_keeps_what_was_sent(desk: Desk, dispatcher: Dispatcher) -> None:
    sent, unsent = await desk.place(2)
    batches = dispatcher.stream(desk.caller, Stream(demand(desk, 1), max_outstanding=10))
    assert await anext(batches) == []
    assert [id_of(each) for each in await anext(batches)] == [sent]
    following = asyncio.create_task(anext(batches))
    await asyncio.sleep(0.001)
    following.cancel()
    await asyncio.wait({following})
    await batches.aclose()
    await until(desk, unsent, "claimable 0")
    assert state_of(await desk.delivery(sent)) == "leased 0"


async def test_what_was_being_written_for_somebody_who_left_goes_back(desk: Desk, dispatcher: Dispatcher) -> None:
    ids = await desk.place(4 * AT_ONCE)
    for pauses in (1, 2, 3):
        batch = await dispatcher.lease(desk.caller, demand(desk, len(ids)), 0)
        leaving = asyncio.create_task(written(dispatcher, desk.caller, batch))
        for _ in range(pauses):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait({leaving})
        await until(desk, ids[-1], "claimable 0")
        assert {state_of(await desk.delivery(each)) for each in ids} == {"claimable 0"}


async def test_a_drain_ends_streams_and_waits(desk: Desk, dispatcher: Dispatcher) -> None:
    batches = dispatcher.stream(desk.caller, Stream(demand(desk), max_outstanding=10))
    assert await anext(batches) == []
    following = asyncio.create_task(anext(batches))
    waiting = asyncio.create_task(dispatcher.lease(desk.caller, demand(desk), 30))
    await asyncio.sleep(0.1)
    await dispatcher.drain()
    with pytest.raises(Unavailable) as raised:
        await following
    assert (raised.value.reason, raised.value.retry_after) == ("DRAINING", 1)
    assert await waiting == []
    assert await dispatcher.lease(desk.caller, demand(desk), 30) == []


async def test_a_hundred_idle_streams_ask_hardly_anything(desk: Desk, dispatcher: Dispatcher) -> None:
    streams = [dispatcher.stream(desk.caller, Stream(demand(desk), max_outstanding=10)) for _ in range(100)]
    for batches in streams:
        await anext(batches)
    waiting = [asyncio.create_task(anext(batches)) for batches in streams]
    await asyncio.sleep(0.5)
    asked: list[str] = []
    engine = desk.database._watcher.sync_engine  # noqa: SLF001 - the only place to count statements at

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    await asyncio.sleep(2)
    event.remove(engine, "before_cursor_execute", count)
    await dispatcher.drain()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert 4 <= len(asked) <= 10

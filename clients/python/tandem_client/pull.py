"""Taking orders over: everything that runs while a worker does, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from tandem.erp.v1.delivery_requests_pb2 import PullOrdersRequest
from tandem_client.caller import Caller
from tandem_client.coalescing import Coalesced
from tandem_client.deliveries import Deliveries
from tandem_client.delivery import Desk
from tandem_client.erp import Erp
from tandem_client.leases import give_back, keep

LEAVING_SECONDS = 0.9
"""How long each of the two steps of leaving may take: to end what is under way, and to give back the rest."""


@asynccontextmanager
async def pull(caller: Caller, request: PullOrdersRequest) -> AsyncIterator[Deliveries]:
    """Pull orders for as long as the context lasts; at its end, give back those that are not finished."""
    erp = Erp(caller)
    desk = Desk(Coalesced(erp.acknowledge), Coalesced(erp.reject), held=set())
    deliveries = Deliveries(caller, request, desk)
    try:
        async with running(keep(erp, desk.held, request.lease_seconds)), running(deliveries.receive()) as receiving:
            receiving.add_done_callback(deliveries.end)
            try:
                yield deliveries
            finally:
                await _within(LEAVING_SECONDS, desk.acknowledge.close, desk.reject.close, deliveries.settle)
    finally:
        await _within(LEAVING_SECONDS, lambda: give_back(erp, desk.held))


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Do *work* in the background, until the context ends."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _within(seconds: float, *steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for step in steps:
                await step()

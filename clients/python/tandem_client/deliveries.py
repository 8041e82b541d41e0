"""Orders as they come: one iteration over as many streams as it takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Self

from tandem.erp.v1.delivery_requests_pb2 import PullOrdersRequest, PullOrdersResponse
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem_client.caller import Caller
from tandem_client.delivery import Delivery, Desk
from tandem_proto.errors import ResourceExhausted, Unavailable

SILENCE_SECONDS = 45.0
"""A stream without a message for so long is dead: an empty one comes every 15 seconds."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before the next stream, doubled each time from the first to the longest."""
QUIET_SECONDS = 0.1
"""When nothing has come for so long, nothing is under way."""


class Deliveries:
    """The orders that come. Iterate over it, in one task or in several at once."""

    def __init__(self, caller: Caller, request: PullOrdersRequest, desk: Desk) -> None:
        self._caller = caller
        self._stub = ErpServiceStub(caller.channel)
        self._request = request
        self._desk = desk
        self._buffer: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._failure: BaseException | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while delivery := await self._buffer.get():
            if not delivery.lost:
                return delivery
        self._buffer.put_nowait(None)  # every task that asks is told the end
        raise self._failure or StopAsyncIteration

    async def receive(self) -> None:
        """Read stream after stream, until one ends because nothing waits; raises what no repetition would mend."""
        pause = FIRST_PAUSE
        while True:
            started, at_least = time.monotonic(), 0.0
            try:
                if await self._read_stream() and self._request.until_empty:
                    return
            except TimeoutError:
                pass
            except (Unavailable, ResourceExhausted) as failure:
                at_least = failure.retry_after or 0.0
            if time.monotonic() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(max(at_least, pause * random.uniform(0.5, 1)))
            pause = min(2 * pause, LONGEST_PAUSE)

    def end(self, receiving: asyncio.Task[None]) -> None:
        """End the iteration the way *receiving* has ended."""
        self._failure = None if receiving.cancelled() else receiving.exception()
        self._buffer.put_nowait(None)

    async def settle(self) -> None:
        """Return when nothing comes any more: what the server has sent and nobody has read would stay leased."""
        seen = -1
        while seen != len(self._desk.held):
            seen = len(self._desk.held)
            await asyncio.sleep(QUIET_SECONDS)

    async def _read_stream(self) -> bool:
        """Read one stream; return whether the server ended it, rather than we did.

        The server counts what a worker holds by stream: what is held from streams before is taken off the limit, and
        once that is finished, an idle moment is used to ask for the full limit again.
        """
        before = frozenset(self._desk.held)
        request = PullOrdersRequest()
        request.CopyFrom(self._request)
        request.max_outstanding -= len(before)
        if request.max_outstanding <= 0:
            return False
        async with self._caller.stream(self._stub.PullOrders, request) as batches:
            while (batch := await _next(batches)) is not None:
                self._take(batch)
                if before and not batch.deliveries and before.isdisjoint(self._desk.held):
                    return False
        return True

    def _take(self, batch: PullOrdersResponse) -> None:
        for message in batch.deliveries:
            delivery = Delivery(message, self._desk)
            self._desk.held.add(delivery)
            self._buffer.put_nowait(delivery)


async def _next(batches: AsyncIterator[PullOrdersResponse]) -> PullOrdersResponse | None:
    async with asyncio.timeout(SILENCE_SECONDS):
        return await anext(batches, None)

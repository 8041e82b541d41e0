"""The ERP of the soak: workers that pull and sometimes die, and what it tells of orders, by call and by webhook."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from soaking.callers import Client, Rest, insist
from tandem_client import Delivery, OrderStatus, StaleLease, StatusUpdate, TandemError
from tandem_client.webhooks import sign
from tandem_proto.errors import NotFound

LEASE_SECONDS = 2, 5
SHIFT_SECONDS = 10, 60
DEATHS = 0.5
"""How many of the workers die rather than leave."""
STATUSES = {"PROCESSING": 6, "PARTIALLY_SHIPPED": 2, "SHIPPED": 3, "DELIVERED": 1}
REPETITIONS = (1, 1, 1, 2, 3)

Recent = deque[tuple[str, str]]


class Worker:
    """Pulls orders, for ever: when a shift is over it dies or leaves, and another comes."""

    def __init__(self, name: str, hire: Callable[[str], Client], rng: random.Random) -> None:
        self._name, self._hire, self._rng = name, hire, rng

    async def work(self) -> None:
        """Work shift after shift, until cancelled; then leave as one ought to."""
        for number in itertools.count(1):
            client = self._hire(f"{self._name}.{number}")
            shift = asyncio.create_task(self._shift(client))
            try:
                await asyncio.wait({shift}, timeout=self._rng.uniform(*SHIFT_SECONDS))
                client.caller.dead = self._rng.random() < DEATHS
            finally:
                shift.cancel()
                await asyncio.wait({shift})
                await client.close()
            if not shift.cancelled():
                shift.result()

    async def _shift(self, client: Client) -> None:
        """Pull, and take what comes; a call that fails for good ends it, and the ledger has it."""
        seconds, who = self._rng.randint(*LEASE_SECONDS), client.caller.who
        pulling = client.orders.pull(who, batch_size=20, max_outstanding=40, lease_seconds=seconds)
        try:
            async with pulling as deliveries, asyncio.TaskGroup() as tasks:
                async for delivery in deliveries:
                    tasks.create_task(self._take(delivery, seconds))
        except* TandemError:
            pass

    async def _take(self, delivery: Delivery, seconds: int) -> None:
        """Do with an order whatever comes to mind; a lease that was lost ends it."""
        fate = self._rng.random()
        await asyncio.sleep(seconds * self._rng.uniform(1.2, 2) if fate < 0.05 else self._rng.uniform(0, 0.3))
        with suppress(StaleLease, NotFound):
            await insist(self._ending(delivery, self._rng.random()))

    def _ending(self, delivery: Delivery, fate: float) -> Callable[[], Awaitable[None]]:
        if fate < 0.03:
            return delivery.release
        if fate < 0.06:
            return lambda: delivery.reject("BUSY", "not now", retry_after_seconds=1)
        if fate < 0.08:
            return lambda: delivery.reject("UNKNOWN_SKU", "never", permanent=True)
        return lambda: delivery.acknowledge(f"SO-{delivery.order.external_id}")


class Erp:
    """What the ERP tells of orders, and who looks after the dead ones; each event has its id as its reason."""

    def __init__(self, client: Client, rest: Rest, secret: str, recent: Recent, rng: random.Random) -> None:
        self._client, self._rest, self._secret, self._rng = client, rest, secret, rng
        self._recent = recent
        self._numbers = itertools.count(1)

    async def tell(self) -> None:
        """Tell the status of some orders in one call, some of it twice."""
        if self._recent:
            updates = [self._update() for _ in range(self._rng.randint(1, 10))]
            for _ in range(self._rng.choice(REPETITIONS)):
                await insist(lambda: self._client.erp.update_status(updates))

    async def send(self) -> None:
        """Send the status of one order by webhook, at times more than once and at one time."""
        if self._recent:
            update = self._update()
            repetitions = self._rng.choice(REPETITIONS)
            await asyncio.gather(*(insist(lambda: self._post(update)) for _ in range(repetitions)))

    async def replay(self) -> None:
        """Send every dead letter out again."""
        async for dead in self._client.erp.dead_orders():
            await insist(lambda dead=dead: self._client.erp.replay([dead.order.id]))  # type: ignore[misc]

    def _update(self) -> StatusUpdate:
        order_id, external_id = self._rng.choice(self._recent)
        (status,) = self._rng.choices(list(STATUSES), list(STATUSES.values()))
        event_id = f"e{next(self._numbers)}"
        update = StatusUpdate(event_id=event_id, reason=event_id, status=OrderStatus.Value(f"ORDER_STATUS_{status}"))
        update.occurred_at.CopyFrom(Timestamp(seconds=1_700_000_000))
        if self._rng.random() < 0.3:
            update.erp_document = f"SO-{external_id}"
        else:
            update.order_id = order_id
        return update

    async def _post(self, update: StatusUpdate) -> None:
        name = OrderStatus.Name(update.status).removeprefix("ORDER_STATUS_")
        which = {"order_id": update.order_id} if update.order_id else {"erp_document": update.erp_document}
        data = {**which, "status": name, "reason": update.reason}
        when = datetime.fromtimestamp(update.occurred_at.seconds, UTC).isoformat()
        body = json.dumps({"type": "order.status_changed", "timestamp": when, "data": data})
        headers, request = sign(self._secret, update.event_id, body), {"event_id": update.event_id, **data}
        path = "/v1/webhooks/erp/default"
        await self._rest.ask("ReceiveErpEvent", "POST", path, request=request, data=body, headers=headers)

"""Leases of what this worker holds: extended while it works, given back when it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from tandem.erp.v1.lease_requests_pb2 import (
    LEASE_EXTENSION_OUTCOME_NOT_FOUND,
    LEASE_EXTENSION_OUTCOME_STALE_LEASE,
    LeaseExtension,
)
from tandem_client.coalescing import LIMIT
from tandem_client.delivery import Delivery
from tandem_client.erp import Erp
from tandem_proto.errors import TandemError

LOST = {LEASE_EXTENSION_OUTCOME_STALE_LEASE, LEASE_EXTENSION_OUTCOME_NOT_FOUND}


async def keep(erp: Erp, held: set[Delivery], seconds: int) -> None:
    """Extend every lease when half of it is over, for ever; sooner again where the server could not be asked."""
    pause = seconds / 2
    while True:
        await asyncio.sleep(pause)
        try:
            async with asyncio.timeout(seconds / 2):
                await _extend(erp, held, seconds)
            pause = seconds / 2
        except (TandemError, TimeoutError):
            pause = seconds / 10


async def give_back(erp: Erp, held: set[Delivery]) -> None:
    """Release what is held. Where that fails, the leases run out on their own."""
    with suppress(TandemError):
        for part in _parts(held):
            await erp.reject([delivery.given_back() for delivery in part])


async def _extend(erp: Erp, held: set[Delivery], seconds: int) -> None:
    for part in _parts(held):
        extensions = [LeaseExtension(order_id=d.order.id, lease_token=d.message.lease_token) for d in part]
        results = await erp.extend(extensions, lease_seconds=seconds)
        for delivery, result in zip(part, results, strict=True):
            if result.outcome in LOST and delivery in held:
                held.discard(delivery)
                delivery.lost = True


def _parts(held: Iterable[Delivery]) -> list[list[Delivery]]:
    every = list(held)
    return [every[start : start + LIMIT] for start in range(0, len(every), LIMIT)]

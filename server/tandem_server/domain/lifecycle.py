"""How far an order is, and how long a failed delivery waits."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """An order's status. They have one total order, which is that of their definition."""

    NEW = "NEW"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    PROCESSING = "PROCESSING"
    PARTIALLY_SHIPPED = "PARTIALLY_SHIPPED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    RETURNED = "RETURNED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


AMENDABLE = frozenset({Status.NEW, Status.ACKNOWLEDGED, Status.PROCESSING})
"""Where the CRM may still change an order."""

CANCELLABLE = AMENDABLE | {Status.PARTIALLY_SHIPPED}
"""Where the CRM may still call an order off."""

RANK = {status: rank for rank, status in enumerate(Status)}


def is_further(new: str, current: str) -> bool:
    """Tell whether status *new* is further than *current*; an order only ever goes further."""
    return RANK[Status(new)] > RANK[Status(current)]


def backoff(failures: int, jitter: float) -> float:
    """Return for how many seconds a delivery waits after *failures*: 0 up to one, then 30 s doubling to 15 min.

    *jitter*, from 0 to 1, adds up to a quarter, so that what failed together does not come back together. It never
    shortens: ten expired leases take more than an hour.
    """
    if failures <= 1:
        return 0
    return float(min(30 * 2 ** (failures - 2), 900)) * (1 + jitter / 4)

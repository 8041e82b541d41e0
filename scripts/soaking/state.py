"""What is stored when all is over: orders and customers as the API tells them, timelines and events as the database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pymysql

from soaking.callers import as_json, insist
from soaking.ledger import Json
from soaking.site import DATABASE, Site
from tandem_client import Tandem

SETTLED_SECONDS = 180
OPEN = (
    "SELECT COUNT(*) FROM deliveries WHERE available_at IS NOT NULL OR lease_token IS NOT NULL OR dead_at IS NOT NULL"
)
HURRY = (  # leases keep their time, waiting after failures is over
    "UPDATE deliveries SET available_at = COALESCE(lease_expires_at, UTC_TIMESTAMP(6)) "
    "WHERE available_at > COALESCE(lease_expires_at, UTC_TIMESTAMP(6))"
)


@dataclass(frozen=True)
class Line:
    """A line of an order's timeline."""

    order_id: str
    type: str
    reason: str = ""


@dataclass
class State:
    """All that is stored."""

    orders: Sequence[Json] = ()
    customers: dict[str, str] = field(default_factory=dict)
    """Names by external id."""
    timeline: Sequence[Line] = ()
    events: Sequence[str] = ()
    """Ids of webhooks."""


async def settle(site: Site) -> int:
    """Wait until no order waits for anybody, and return how many still do after a long time."""
    ends = time.monotonic() + SETTLED_SECONDS
    while (waiting := await asyncio.to_thread(_hurried, site)) and time.monotonic() < ends:  # noqa: ASYNC110 - a database
        await asyncio.sleep(0.5)
    return waiting


def _hurried(site: Site) -> int:
    try:
        site.mysql.ask(HURRY, DATABASE)
        return int(site.mysql.ask(OPEN, DATABASE)[0][0])
    except pymysql.err.OperationalError:
        return -1  # a deadlock with those who work: nobody knows how many


async def stored(site: Site) -> State:
    """Return what is stored."""
    async with Tandem(site.direct, site.keys["TANDEM_CRM_KEY"]) as tandem:
        orders = await insist(lambda: _all_orders(tandem))
        customers = await insist(lambda: _all_customers(tandem))
    timeline = await asyncio.to_thread(site.mysql.ask, "SELECT order_id, type, detail FROM order_events", DATABASE)
    events = await asyncio.to_thread(site.mysql.ask, "SELECT event_id FROM erp_events", DATABASE)
    lines = [Line(order, kind, str(json.loads(detail).get("reason", ""))) for order, kind, detail in timeline]
    return State(orders, customers, lines, [event for (event,) in events])


async def _all_orders(tandem: Tandem) -> list[Json]:
    return [as_json(order) async for order in tandem.orders.list(page_size=500)]


async def _all_customers(tandem: Tandem) -> dict[str, str]:
    return {customer.external_id: customer.name async for customer in tandem.customers.list(page_size=1000)}

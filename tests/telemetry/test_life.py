"""The whole life of an order, step by step over REST: its timeline says what happened, who did it and where to look."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from conftest import Party, change_database
from retail import a_customer
from webhooks.sender import Sender
from yarl import URL

from tandem_client import webhooks

pytestmark = pytest.mark.usefixtures("deadline")

PAST = "'2020-01-01 00:00:00.000000'"
NEW = {"customer_external_id": "17850", "currency": "GBP", "lines": [{"sku": "1", "quantity": "1", "unit_price": "1"}]}
LEASE = {"worker": "w", "max_orders": 1, "lease_seconds": 60}


@dataclass
class Life:
    """An order's life: whoever does a *step* brings its own request id and trace, which are kept for the end."""

    party: Party
    http: aiohttp.ClientSession
    order: str = ""
    token: str = ""
    traces: dict[str, str] = field(default_factory=dict)

    async def ask(self, step: str, key: str, path: str, body: Any, verb: str = "POST", **headers: str) -> Any:
        """Make one request, which must end well or be refused with 409, and return the reply's document."""
        assert step not in self.traces
        self.traces[step] = secrets.token_hex(16)
        told = {"x-request-id": step, "traceparent": f"00-{self.traces[step]}-{secrets.token_hex(8)}-01", **headers}
        data = body if isinstance(body, str) else json.dumps(body)
        told |= {"authorization": f"Bearer {key}", "content-type": "application/json"}
        url = URL(f"/v1/{path}", encoded=True)
        async with self.http.request(verb, url, data=data, headers=told) as reply:
            assert reply.headers["x-request-id"] == step
            assert reply.status in {200, 201, 409}, await reply.text()
            return await reply.json(content_type=None)

    async def crm(self, step: str, path: str, body: Any, verb: str = "POST") -> Any:
        return await self.ask(step, self.party.crm_key, path, body, verb)

    async def erp(self, step: str, path: str, body: Any) -> Any:
        return await self.ask(step, self.party.erp_key, f"erp/orders:{path}", body)

    async def answer(self, step: str, answer: str, **told: Any) -> str:
        """Acknowledge or reject what was leased last, and return the outcome."""
        of_order = {"order_id": self.order, "lease_token": self.token}
        items = {"acknowledge": "acknowledgements", "reject": "rejections"}[answer]
        reply = await self.erp(step, answer, {items: [of_order | told]})
        return str(reply["results"][0]["outcome"])

    async def lease(self, step: str) -> str:
        """Lease the order, and return the token of the lease before."""
        (delivery,) = (await self.erp(step, "lease", LEASE))["deliveries"]
        before, self.token = self.token, delivery["lease_token"]
        return before

    async def status(self, step: str, status: str, **of: Any) -> str:
        told = {"event_id": step, "status": status, "occurred_at": "2010-12-02T09:00:00Z", **of}
        return str((await self.erp(step, "updateStatus", {"updates": [told]}))["results"][0]["outcome"])

    async def webhook(self, step: str, status: str) -> str:
        data = {"order_id": self.order, "status": status}
        body = json.dumps({"type": "order.status_changed", "timestamp": "2010-12-03T09:00:00Z", "data": data})
        signed = webhooks.sign(Sender(self.http, self.party.erp).secret, step, body)
        return str((await self.ask(step, "", f"webhooks/erp/{self.party.erp}", body, **signed))["outcome"])

    def move_back(self) -> None:
        """Let a lease, or the wait after a failure, be over."""
        change_database(
            self.party.stack,
            f"UPDATE deliveries SET available_at = {PAST}, lease_expires_at = {PAST} WHERE order_id = '{self.order}'",
        )


async def grow_up(life: Life) -> None:
    """From its creation to its first acknowledgement, with all that may go wrong on the way."""
    life.order = (await life.crm("create", "orders", {"external_id": "life", **NEW}))["id"]
    await life.lease("lease")
    life.move_back()
    ended = await life.lease("lease again")
    assert await life.answer("reject", "reject", code="LOCKED", reason="stocktaking") == "REJECTED"
    life.move_back()
    await life.lease("lease a third time")
    assert await life.answer("release", "reject", code="STOP", reason="closing", release=True) == "RELEASED"
    await life.lease("lease a fourth time")
    assert await life.answer("reject for good", "reject", code="NO_SKU", reason="?", permanent=True) == "BURIED"
    assert (await life.erp("replay", "replay", {"order_ids": [life.order]}))["results"][0]["outcome"] == "REPLAYED"
    await life.lease("lease a fifth time")
    assert await life.status("tell early", "PROCESSING", erp_document="SO-1") == "PARKED"
    assert await life.answer("acknowledge", "acknowledge", erp_document="SO-1") == "ACKNOWLEDGED"
    life.token = ended
    assert await life.answer("acknowledge late", "acknowledge", erp_document="SO-1") == "STALE_LEASE"


async def grow_old(life: Life) -> None:
    """From the first change to a cancel that comes too late."""
    await life.crm("amend", f"orders/{life.order}", {"note": "x"}, "PATCH")
    await life.lease("lease the change")
    assert await life.answer("acknowledge the change", "acknowledge") == "ACKNOWLEDGED"
    assert await life.status("repeat the status", "PROCESSING", order_id=life.order) == "STALE"
    await life.crm("cancel", f"orders/{life.order}:cancel", {"reason": "ordered twice"})
    await life.lease("lease the cancel")
    assert await life.answer("refuse the cancel", "reject", code="LEFT", reason="on the road", permanent=True)
    assert await life.status("ship", "SHIPPED", order_id=life.order) == "APPLIED"
    assert await life.webhook("deliver", "DELIVERED") == "APPLIED"
    refused = await life.crm("cancel too late", f"orders/{life.order}:cancel", {"reason": "?"})
    assert refused["reason"] == "ORDER_NOT_CANCELLABLE"


TIMELINE = [
    ("CREATED", "crm", "create"),
    ("LEASED", "erp", "lease"),
    ("EXPIRED", "erp", "lease again"),
    ("LEASED", "erp", "lease again"),
    ("REJECTED", "erp", "reject"),
    ("LEASED", "erp", "lease a third time"),
    ("RELEASED", "erp", "release"),
    ("LEASED", "erp", "lease a fourth time"),
    ("REJECTED", "erp", "reject for good"),
    ("BURIED", "erp", "reject for good"),
    ("REPLAYED", "erp", "replay"),
    ("LEASED", "erp", "lease a fifth time"),
    ("ACKNOWLEDGED", "erp", "acknowledge"),
    ("STATUS_UPDATED PROCESSING APPLIED", "erp", "acknowledge"),
    ("AMENDED", "crm", "amend"),
    ("LEASED", "erp", "lease the change"),
    ("ACKNOWLEDGED", "erp", "acknowledge the change"),
    ("STATUS_UPDATED PROCESSING STALE", "erp", "repeat the status"),
    ("CANCEL_REQUESTED", "crm", "cancel"),
    ("LEASED", "erp", "lease the cancel"),
    ("REJECTED", "erp", "refuse the cancel"),
    ("STATUS_UPDATED SHIPPED APPLIED", "erp", "ship"),
    ("STATUS_UPDATED DELIVERED APPLIED", "webhook", "deliver"),
]


def told(event: Any) -> str:
    return " ".join([event["type"], *([event["status"], event["outcome"]] if event["outcome"] else [])])


async def test_every_line_says_who_by_which_request_and_in_which_trace(
    party: Party, http: aiohttp.ClientSession
) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
    life = Life(party, http)
    await grow_up(life)
    await grow_old(life)
    async with http.get(f"/v1/orders/{life.order}/events?page_size=100") as reply:
        events = (await reply.json())["events"]
    names = {"crm": f"crm:{party.source}", "erp": f"erp:{party.erp}", "webhook": f"webhook:{party.erp}"}
    expected = [(what, names[actor], step, life.traces[step]) for what, actor, step in TIMELINE]
    assert [(told(each), each["actor"], each["request_id"], each["trace_id"]) for each in events] == expected

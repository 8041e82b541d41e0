"""An ERP that sends webhooks, rightly and wrongly signed."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from conftest import Party
from known_secrets import secrets_of
from standardwebhooks import Webhook

from tandem.integration.v1.erp_event_pb2 import ErpEventOutcome
from tandem_client import Tandem, webhooks

Reply = tuple[int, Any]
WHEN = "2010-12-02T09:00:00Z"
BODY = json.dumps({"type": "lunch.served", "timestamp": WHEN, "data": {"dish": "crêpe"}}, ensure_ascii=False)


def by_the_package(secret: str, event_id: str, body: str, at: datetime) -> dict[str, str]:
    """Sign as the package of Standard Webhooks does."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body),
    }


@dataclass
class Sender:
    """The ERP of a party, over REST."""

    http: aiohttp.ClientSession
    erp: str

    @property
    def secret(self) -> str:
        return secrets_of(self.erp)[0]

    async def post(self, body: bytes | str, headers: dict[str, str], erp: str = "") -> Reply:
        raw = io.BytesIO(body.encode() if isinstance(body, str) else body)
        async with self.http.post(f"/v1/webhooks/erp/{erp or self.erp}", data=raw, headers=headers) as reply:
            return reply.status, await reply.json(content_type=None)

    async def tell(self, event_id: str, what: str, data: Any, **more: Any) -> Reply:
        """Send an event as it ought to be."""
        body = json.dumps({"type": what, "timestamp": WHEN, "data": data} | more)
        return await self.post(body, webhooks.sign(self.secret, event_id, body))

    async def outcome(self, event_id: str, what: str, data: Any, **more: Any) -> str:
        """Send an event, and return what became of it."""
        status, reply = await self.tell(event_id, what, data, **more)
        assert status == 200, reply
        return f"{reply['outcome']} {reply['code']}".strip()


@asynccontextmanager
async def sending(party: Party, http: str = "") -> AsyncIterator[Sender]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(http or party.stack.http, connector=connector) as session:
        yield Sender(session, party.erp)


def operator(party: Party) -> Tandem:
    """Whoever looks after the party's ERP."""
    return Tandem(party.stack.grpc, key=party.operator_key)


def outcome_of(number: ErpEventOutcome.ValueType) -> str:
    return ErpEventOutcome.Name(number).removeprefix("ERP_EVENT_OUTCOME_")

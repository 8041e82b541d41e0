"""GetSyncStatus tells each caller how far the two systems are in step, and counts only now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from conftest import Party, change_database, new_party
from known_keys import OPERATOR
from retail import hand_over
from stack import Stack
from webhooks.sender import sending

from integration.uploads import post
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, Rejection
from tandem_client import StatusUpdate

pytestmark = pytest.mark.usefixtures("deadline")

LAST = {"source": "", "id": "second", "state": "PARTIAL", "created": 1, "failed": 1, "dry_run": False}
"""What `import_some` began last."""


@pytest.fixture(scope="module")
def own(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack of our own: nobody else makes it count."""
    return make_stack(make_database(database))


async def status(stack: Stack, key: str) -> Any:
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(stack.http, headers=headers) as http, http.get("/v1/status") as reply:
        assert reply.status == 200
        return await reply.json()


async def one_of_each(party: Party) -> list[str]:
    """Make seven orders: one held, one backing off, one dead, two waiting, one acknowledged, one shipped."""
    async with party.crm() as crm, party.worker() as worker:
        ids = [order.id for order in await hand_over(crm, 7)]
        leased = {each.order.id: each.lease_token for each in await worker.erp.lease("w", max_orders=7)}
        why: dict[str, Any] = {"code": "CLOSED", "reason": "closed"}
        refused: tuple[dict[str, Any], ...] = (
            {"retry_after_seconds": 600},
            {"permanent": True},
            {"release": True},
            {"release": True},
        )
        told = zip(ids[1:5], refused, strict=True)
        await worker.erp.reject(
            [Rejection(order_id=each, lease_token=leased[each], **why, **how) for each, how in told]
        )
        done = [Acknowledgement(order_id=x, lease_token=leased[x], erp_document=f"SO-{x}") for x in ids[5:]]
        await worker.erp.acknowledge(done)
        shipped = StatusUpdate(event_id="e1", order_id=ids[6], status=OrderStatus.ORDER_STATUS_SHIPPED)
        shipped.occurred_at.GetCurrentTime()
        early = StatusUpdate(event_id="e2", erp_document="SO-X", status=OrderStatus.ORDER_STATUS_SHIPPED)
        early.occurred_at.GetCurrentTime()
        await worker.erp.update_status([shipped, early])
    return ids


async def send_some(party: Party, orderless: Party) -> None:
    """Let two ERPs send webhooks that have no effect: two of one are refused."""
    async with sending(party) as sender:
        nobody = {"id": "cus_01h455vb4pex5vsknk084sn02q", "erp_number": "K-1"}
        for event in ("e3", "e4"):
            assert await sender.outcome(event, "customer.linked", nobody) == "REFUSED NOT_FOUND"
    async with sending(orderless) as sender:
        assert await sender.outcome("e1", "lunch.served", {}) == "UNKNOWN_TYPE"


async def import_some(party: Party) -> None:
    """Import one customer, then another and a wrong one; then try what a third would do."""
    async with aiohttp.ClientSession(party.stack.http, headers={"authorization": f"Bearer {party.crm_key}"}) as http:
        await post(http, b"external_id,name\n1,Ada\n", "import_id=first")
        await post(http, b"external_id,name\n2,Bob\n3,\n", "import_id=second")
        await post(http, b"external_id,name\n4,Cid\n", "import_id=third&dry_run=true")


async def test_everybody_sees_what_is_theirs_as_of_ten_seconds_ago(own: Stack) -> None:
    party, other, orderless = (new_party(own) for _ in range(3))
    ids = await one_of_each(party)
    await send_some(party, orderless)
    change_database(
        own, f"UPDATE deliveries SET available_at = '2024-01-01 00:00:00.000000' WHERE order_id = '{ids[3]}'"
    )
    async with other.crm() as crm:
        await hand_over(crm, 3)
    await import_some(party)
    await import_some(other)
    mine = await status(own, party.crm_key)
    zeros = {name.removeprefix("ORDER_STATUS_").lower(): 0 for name in OrderStatus.keys()[1:]}
    assert mine["orders"] == zeros | {"new": 5, "acknowledged": 1, "shipped": 1}
    (queue,) = mine["queues"]
    assert queue["oldest_waiting_seconds"] > 3600
    counts = {"waiting": 2, "leased": 1, "backing_off": 1, "dead": 1, "parked_events": 1, "refused_events": 2}
    measured = {name: queue[name] for name in ("oldest_waiting_seconds", "last_event_at")}
    assert queue == {"erp": party.erp, **measured, **counts}
    assert queue["last_event_at"] <= mine["counted_at"]
    (last,) = mine["last_imports"]
    assert {name: last[name] for name in LAST} == LAST | {"source": party.source}
    theirs = await status(own, other.integration_key)
    assert [each["source"] for each in theirs["last_imports"]] == [other.source]
    assert theirs["orders"] == zeros | {"new": 3}
    assert [(each["erp"], each["waiting"], each["parked_events"]) for each in theirs["queues"]] == [(other.erp, 3, 0)]
    assert "last_event_at" not in theirs["queues"][0]
    everything = await status(own, OPERATOR.key)
    assert everything["orders"] == zeros | {"new": 8, "acknowledged": 1, "shipped": 1}
    waiting = {each["erp"]: each["waiting"] for each in everything["queues"]}
    assert waiting == {party.erp: 2, other.erp: 3, orderless.erp: 0}
    assert {each["source"] for each in everything["last_imports"]} == {party.source, other.source}
    stranger = await status(own, new_party(own).crm_key)
    assert (stranger["orders"], stranger["last_imports"]) == (zeros, [])
    async with party.crm() as crm:
        await hand_over(crm, 1)
    assert await status(own, party.crm_key) == mine

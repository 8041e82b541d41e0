"""Promise 23: one trace joins client, gateway, server and SQL, and says what callers saw."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest
from conftest import ROOT, Party, change_database
from opentelemetry import trace
from opentelemetry.context import attach, detach
from retail import a_customer, an_order, hand_over
from webhooks.sender import WHEN, sending

from tandem_client import DeadlineExceeded, Internal, NotFound, Tandem, webhooks
from tandem_proto.tracing import brought_by

from .collector import Collector, Span

pytestmark = pytest.mark.usefixtures("deadline")

CRM, ERP = "tandem.crm.v1.CrmService", "tandem.erp.v1.ErpService"
CREATE, GET, LEASE, PULL = f"{CRM}/CreateOrder", f"{CRM}/GetOrder", f"{ERP}/LeaseOrders", f"{ERP}/PullOrders"

RECEIVE = "tandem.integration.v1.IntegrationService/ReceiveErpEvent"


@contextmanager
def tracing() -> Iterator[str]:
    """Be part of a trace, as whose span no SDK runs in this process, and tell its id."""
    trace_id = secrets.token_hex(16)
    token = attach(brought_by({"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}))
    yield trace_id
    detach(token)


def only(spans: list[Span], name: str, kind: str = "SERVER") -> Span:
    (found,) = [span for span in spans if (span.name, span.kind) == (name, kind)]
    return found


def path(spans: list[Span], span: Span) -> list[str]:
    """Return where *span* and its ancestors come from, innermost first."""
    by_id = {each.id: each for each in spans}
    found = [span]
    while found[-1].parent in by_id:
        found.append(by_id[found[-1].parent])
    return [f"{each.service} {each.name} {each.kind}" for each in found]


async def test_a_create_from_http_to_sql(party: Party, http: aiohttp.ClientSession, collector: Collector) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
    order = {"external_id": "1", "customer_external_id": "17850", "currency": "GBP"}
    lines = [{"sku": "85123A", "quantity": "6", "unit_price": "2.55"}]
    trace_id, parent = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace_id}-{parent}-01", "x-request-id": "r-1"}
    async with http.post("/v1/orders", json={**order, "lines": lines}, headers=headers) as reply:
        assert (reply.status, reply.headers["x-request-id"]) == (201, "r-1")
    spans = await collector.trace(trace_id, "POST /v1/orders", CREATE, "COMMIT")
    statements = [span for span in spans if "db.query.text" in span.attributes]
    assert {path(spans, span)[1:] == path(spans, only(spans, CREATE)) for span in statements} == {True}
    assert path(spans, only(spans, CREATE)) == [
        f"tandem-server {CREATE} SERVER",
        f"tandem-gateway {CREATE} CLIENT",
        "tandem-gateway POST /v1/orders SERVER",
    ]
    edge, server = only(spans, "POST /v1/orders"), only(spans, CREATE)
    assert edge.parent == parent
    assert (edge.attributes["http.route"], edge.attributes["http.response.status_code"]) == ("/v1/orders", 201)
    assert edge.attributes["tandem.request_id"] == server.attributes["tandem.request_id"] == "r-1"
    assert {"INSERT orders", "INSERT order_lines", "INSERT deliveries"} <= {span.name for span in statements}
    assert {span.status for span in spans} == {"UNSET"}


async def test_the_trace_survives_the_wait_in_the_database(party: Party, collector: Collector) -> None:
    """create → wait → pull → acknowledge → status, by programs that trace themselves with the client's own spans.

    Last a webhook, through the gateway.
    """
    keys = {"TANDEM_GRPC": party.stack.grpc, "TANDEM_CRM_KEY": party.crm_key, "TANDEM_ERP_KEY": party.erp_key}
    command = [sys.executable, "-m", "telemetry.story", collector.endpoint]
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "scripts"))
    environment = os.environ | keys | {"PYTHONPATH": paths}
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(done.stdout)
    sell = await collector.trace(told["sell"][3:35], CREATE, "COMMIT")
    created = only(sell, CREATE)
    assert path(sell, created) == [f"tandem-server {CREATE} SERVER", f"story {CREATE} CLIENT", "story sell INTERNAL"]

    acknowledge, update = f"{ERP}/AcknowledgeOrders", f"{ERP}/UpdateOrderStatus"
    book = await collector.trace(told["book"][3:35], PULL, "claim", acknowledge, update)
    claims = [span for span in book if span.name == "claim"]
    assert {path(book, span)[1] for span in claims} == {f"tandem-server {PULL} SERVER"}
    linked = [only(book, acknowledge), only(book, update), *(span for span in claims if span.links)]
    assert [span.links for span in linked] == [{created.id}] * 3
    assert only(book, PULL).attributes["rpc.response.status_code"] == "OK"
    assert {span.status for span in (*sell, *book)} == {"UNSET"}
    hook = await deliver(party, collector)
    assert path(hook, only(hook, RECEIVE))[1:] == [
        f"tandem-gateway {RECEIVE} CLIENT",
        "tandem-gateway POST /v1/webhooks/erp/{erp} SERVER",
    ]
    assert only(hook, RECEIVE).links == {created.id}


async def deliver(party: Party, collector: Collector) -> list[Span]:
    """Tell by webhook that the order has arrived, and return the spans of that."""
    data, trace_id = {"erp_document": "SO-1", "status": "DELIVERED"}, secrets.token_hex(16)
    body = json.dumps({"type": "order.status_changed", "timestamp": WHEN, "data": data})
    async with sending(party) as sender:
        headers = webhooks.sign(sender.secret, "e2", body) | {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        status, told = await sender.post(body, headers)
    assert (status, told["outcome"]) == (200, "APPLIED")
    return await collector.trace(trace_id, RECEIVE, "POST /v1/webhooks/erp/{erp}")


async def end_of(collector: Collector, trace_id: str, name: str) -> tuple[str, str]:
    """Return code and status of the server's only span with *name*."""
    span = only(await collector.trace(trace_id, name), name)
    return span.attributes["rpc.response.status_code"], span.status


async def test_statuses_are_what_callers_saw(party: Party, collector: Collector) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
        with tracing() as fine:
            await crm.orders.get(order.id)
        with tracing() as missing, pytest.raises(NotFound):
            await crm.orders.get("ord_01h455vb4pex5vsknk084sn02q")
        change_database(party.stack, f"UPDATE orders SET status = 'BROKEN' WHERE id = '{order.id}'")
        with tracing() as crashed, pytest.raises(Internal):
            await crm.orders.get(order.id)
    assert await end_of(collector, fine, GET) == ("OK", "UNSET")
    assert await end_of(collector, missing, GET) == ("NOT_FOUND", "UNSET")
    assert await end_of(collector, crashed, GET) == ("INTERNAL", "ERROR")


async def test_statuses_of_what_is_cut_off(party: Party, collector: Collector) -> None:
    async with party.worker() as worker, Tandem(party.stack.grpc, party.erp_key, timeout=-9.5) as hasty:
        with tracing() as left:
            waiting = asyncio.create_task(worker.erp.lease("w", wait_seconds=10))
            await asyncio.sleep(0.3)
            waiting.cancel()
        with tracing() as late, pytest.raises(DeadlineExceeded):
            await hasty.erp.lease("w", wait_seconds=10)
        with tracing() as stream:
            async with worker.orders.pull(worker="w"):
                await asyncio.sleep(0.1)
    assert await end_of(collector, left, LEASE) == ("CANCELLED", "UNSET")
    assert await end_of(collector, late, LEASE) == ("DEADLINE_EXCEEDED", "ERROR")
    assert await end_of(collector, stream, PULL) == ("CANCELLED", "UNSET")


async def test_creates_that_share_a_transaction_say_where_it_is(party: Party, collector: Collector) -> None:
    async def create(crm: Tandem) -> str:
        with tracing() as trace_id:
            await crm.orders.create(an_order())
        return trace_id

    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        traces = await asyncio.gather(*(create(crm) for _ in range(20)))
    spans = [span for each in traces for span in await collector.trace(each, CREATE)]
    created = {span.id: span for span in spans if span.name == CREATE}
    with_statements = {span.parent for span in collector.spans if span.name == "INSERT orders"}
    assert len(created) == 20
    assert all(id_ in with_statements or span.links & with_statements for id_, span in created.items())
    assert len(with_statements & set(created)) < 20


async def test_nobody_else_is_told_a_trace_it_has_no_part_in(party: Party, collector: Collector) -> None:
    """A queue outlives the call that began it: what others wait for later is theirs."""
    async with party.crm() as crm, party.worker() as worker:
        with tracing() as first:
            waiting = asyncio.create_task(worker.erp.lease("w1", max_orders=1, wait_seconds=10))
            await asyncio.sleep(0.2)
        with tracing() as second:
            other = asyncio.create_task(worker.erp.lease("w2", max_orders=1, wait_seconds=10))
            await asyncio.sleep(0.2)
        await hand_over(crm, 2)
        assert [len(each) for each in await asyncio.gather(waiting, other)] == [1, 1]
    for each in (first, second):
        spans = await collector.trace(each, LEASE, "claim")
        assert {path(spans, span)[-1] for span in spans} == {f"tandem-server {LEASE} SERVER"}
        assert len([span for span in spans if span.links]) == 1


async def test_an_order_from_before_there_were_traces_is_linked_to_none(party: Party, collector: Collector) -> None:
    async with party.crm() as crm, party.worker() as worker:
        await hand_over(crm, 1)
        change_database(party.stack, f"UPDATE orders SET traceparent = '' WHERE source = '{party.source}'")
        with tracing() as claimed:
            await worker.erp.lease("w")
    spans = await collector.trace(claimed, LEASE, "claim")
    assert {span.links for span in spans} == {frozenset()}


def test_no_trace_is_none() -> None:
    assert not trace.get_current_span().get_span_context().is_valid

"""What is measured, where, and that the names stay."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable

import aiohttp
import pytest
from conftest import ROOT, Party, change_database
from crm.erp import acknowledge, lease_one
from integration.uploads import customers_csv, post
from prometheus_client.parser import text_string_to_metric_families
from retail import hand_over
from stack import Stack

from .collector import Collector, eventually

pytestmark = pytest.mark.usefixtures("deadline")

OTHERS = ("python_", "process_", "target_")
"""What every process says of itself."""


async def scraped(stack: Stack, process: str) -> str:
    listens = {"server": f"http://{stack.environment['TANDEM_METRICS_LISTEN']}", "gateway": stack.http}
    async with aiohttp.ClientSession() as session, session.get(f"{listens[process]}/metrics") as reply:
        assert reply.status == 200
        return await reply.text()


async def values(stack: Stack, process: str = "server") -> dict[str, float]:
    """Return what is measured, by name and the labels' values."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(await scraped(stack, process))
        for sample in family.samples
    }


async def since(party: Party, before: dict[str, float]) -> Callable[[str], float]:
    """Return what tells by how much a value has risen since *before*."""
    after = await values(party.stack)
    return lambda name: after[name] - before.get(name, 0.0)


async def test_what_happens_is_counted(party: Party) -> None:
    before = await values(party.stack)
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        late = await lease_one(worker)
        past = "UPDATE deliveries SET available_at = '2020-01-01', lease_expires_at = available_at"
        change_database(party.stack, f"{past} WHERE order_id = '{order.id}'")
        await acknowledge(worker, await lease_one(worker))
        assert await acknowledge(worker, late) == "STALE_LEASE"
        async with worker.orders.pull(worker="w"):
            await asyncio.sleep(0.2)
            streaming = await values(party.stack)
    risen = await since(party, before)
    assert risen("tandem_order_events_total EXPIRED") == 1
    assert risen("tandem_order_events_total LEASED") == 2
    assert risen("tandem_acknowledgements_total ACKNOWLEDGED") == 1
    assert risen("tandem_acknowledgements_total STALE_LEASE") == 1
    assert risen(f"tandem_claim_duration_seconds_count {party.erp}") >= 2
    assert risen("rpc_server_call_duration_seconds_count tandem.erp.v1.ErpService/AcknowledgeOrders OK grpc") == 2
    assert streaming["tandem_open_streams tandem.erp.v1.ErpService/PullOrders grpc"] == 1


async def test_rows_of_imports_are_counted_by_outcome_once(party: Party, http: aiohttp.ClientSession) -> None:
    before = await values(party.stack)
    for _ in range(2):  # the second time they are only compared
        assert (await post(http, customers_csv(20), "import_id=counted"))[0] == 200
    risen = await since(party, before)
    assert [risen(f"tandem_import_rows_total {outcome}") for outcome in ("CREATED", "FAILED")] == [18, 2]


async def test_a_wait_for_a_connection_and_the_connections_are_told(party: Party) -> None:
    before = await values(party.stack)
    async with party.crm() as crm:
        await hand_over(crm, 1)
    risen = await since(party, before)
    assert risen("db_client_connection_wait_time_seconds_count") >= 2
    assert (await values(party.stack))["tandem_database_connections_max"] == 5


async def test_requests_are_told_by_route_and_whatever_machines_ask_is_not(
    party: Party, http: aiohttp.ClientSession
) -> None:
    for path in ("/v1/orders/ord_01h455vb4pex5vsknk084sn02q", "/v1/nonsense", "/healthz"):
        async with http.get(path):
            pass
    told = await values(party.stack, "gateway")
    durations = {
        name.partition(" ")[2] for name in told if name.startswith("http_server_request_duration_seconds_count")
    }
    assert {"GET 404 /v1/orders/{id}", "GET 404 "} <= durations
    assert not [name for name in durations if "healthz" in name or "metrics" in name]


def listed() -> set[str]:
    """Return the metrics that the server's page lists."""
    section = (ROOT / "server" / "README.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    return {name for row in section.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


async def exposed(stack: Stack) -> set[str]:
    """Return what both processes measure, but what every process does."""
    texts = await scraped(stack, "server"), await scraped(stack, "gateway")
    names = {name for text in texts for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)}
    return {name for name in names if not name.startswith(OTHERS)}


async def test_the_names_are_those_of_the_page(party: Party, http: aiohttp.ClientSession, collector: Collector) -> None:
    async with party.crm() as crm, party.worker() as worker, http.get("/v1/orders"):
        await hand_over(crm, 2)
        (delivery,) = await worker.erp.lease("w", max_orders=1)
        await acknowledge(worker, delivery)
        async with worker.orders.pull(worker="w", until_empty=True) as deliveries:
            async for pulled in deliveries:
                await pulled.release()
                break

    async def counted() -> bool:
        return "tandem_deliveries" in await exposed(party.stack)

    await eventually(counted, seconds=25)  # what waits is counted every ten seconds
    assert await exposed(party.stack) == listed()
    await eventually(lambda: {"tandem.deliveries", "rpc.server.call.duration"} <= collector.metrics)


@pytest.mark.parametrize("process", ["server", "gateway"])
async def test_promtool_agrees(party: Party, process: str) -> None:
    text = await scraped(party.stack, process)
    command = [str(ROOT / "scripts" / "tool"), "promtool", "check", "metrics"]
    checked = await asyncio.to_thread(
        subprocess.run, command, input=text, capture_output=True, text=True, timeout=600, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

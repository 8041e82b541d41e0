"""A database that is away for a while: what callers are told meanwhile, and how soon it is known to be back."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from soaking.mysqld import OwnMysql
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, ListOrdersRequest
from tandem_client import Customer, Order, OrderLine, Tandem
from tandem_proto.status import METADATA_KEY, from_status

CALL_SECONDS = 4
CUSTOMER = "17850"
RETRY_SECONDS = 2.5
"""What is out of reach is asked again after two seconds."""
NEVER_SECONDS = 20
ITS_WORDS = re.compile(r"(?i)mysql|sql|select|insert|update |\(\d{4}, |lost connection|traceback")

Step = Callable[[OwnMysql], None]
OUTAGES: dict[str, tuple[Step, Step]] = {
    "stopped": (OwnMysql.kill, OwnMysql.start),
    "frozen": (OwnMysql.freeze, OwnMysql.thaw),
}
"""How each kind begins, and ends."""


@dataclass(frozen=True)
class Doors:
    """Where callers knock: a server, a gateway before it, and the CRM's key."""

    grpc: str
    http: str
    key: str


@dataclass
class Outage:
    """What was seen: replies by kind, the slowest, and after how long readiness said that it was away, and back."""

    replies: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    away: float = 0.0
    back: float = 0.0


async def outage(doors: Doors, mysql: OwnMysql, kind: str, seconds: float) -> Outage:
    """Let the database be away for *seconds* under load; raises AssertionError for a reply that is not as promised."""
    begin, end = OUTAGES[kind]
    async with callers(doors) as seen:
        await asyncio.sleep(1)
        await asyncio.to_thread(begin, mysql)
        try:
            seen.away = await readiness(doors, 503)
            await asyncio.sleep(seconds - seen.away)
        finally:
            await asyncio.to_thread(end, mysql)
        seen.back = await readiness(doors, 200)
        await asyncio.sleep(1)
    return seen


async def kill_connections(doors: Doors, mysql: OwnMysql, seconds: float) -> Outage:
    """Kill every connection five times a second, for *seconds*, then wait for calls to go well again."""
    async with callers(doors) as seen:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(mysql.kill_connections)
        before = seen.replies["OK"]
        await asyncio.sleep(1)
        assert seen.replies["OK"] > before
    return seen


def checked(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of a refusal, which is to say when to come again, and not what the database said."""
    details = dict(error.trailing_metadata() or ()).get(METADATA_KEY)
    assert isinstance(details, bytes), error
    told = from_status(error.code().name, error.details() or "", details)
    assert told.code in ("UNAVAILABLE", "ABORTED"), error
    assert told.retry_after, error
    assert not ITS_WORDS.search(str(told)), error
    return told.reason


@asynccontextmanager
async def callers(doors: Doors) -> AsyncIterator[Outage]:
    """Give what callers see for as long as the context lasts; at its end everything that was said to be stored is."""
    async with Tandem(doors.grpc, key=doors.key) as crm:
        await crm.customers.upsert(Customer(external_id=CUSTOMER, name="Ada"))
        calling = _Callers(doors)
        task = asyncio.create_task(calling.run())
        try:
            yield calling.seen
        finally:
            done, _ = await asyncio.wait({task}, timeout=0)
            task.cancel()
            if done:
                task.result()
            await asyncio.wait({task})
        await asyncio.sleep(RETRY_SECONDS)
        stored = {order.external_id async for order in crm.orders.list(page_size=1000)}
    assert calling.created <= stored


class _Callers:
    """Reads and writes without a retry of their own, over gRPC and REST: every reply is noted, and looked at."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.seen = Outage()
        self.created: set[str] = set()

    async def run(self) -> None:
        async with (
            grpc.aio.insecure_channel(self._doors.grpc, [("grpc.enable_retries", 0)]) as channel,
            aiohttp.ClientSession(headers={"authorization": f"Bearer {self._doors.key}"}) as session,
            asyncio.TaskGroup() as tasks,
        ):
            stub = CrmServiceStub(channel)
            tasks.create_task(self._repeat(lambda: self._create(stub)))
            tasks.create_task(self._repeat(lambda: self._list(stub)))
            tasks.create_task(self._repeat(lambda: self._get(session)))

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            started = time.monotonic()
            await work()
            self.seen.slowest = max(self.seen.slowest, time.monotonic() - started)
            await asyncio.sleep(0.05)

    async def _create(self, stub: CrmServiceStub) -> None:
        line = OrderLine(sku="85123A", quantity="1", unit_price="2.55")
        order = Order(external_id=secrets.token_hex(8), customer_external_id=CUSTOMER, currency="GBP", lines=[line])
        with suppress(grpc.aio.AioRpcError):
            await self._noted(stub.CreateOrder, CreateOrderRequest(order=order))
            self.created.add(order.external_id)

    async def _list(self, stub: CrmServiceStub) -> None:
        with suppress(grpc.aio.AioRpcError):
            await self._noted(stub.ListOrders, ListOrdersRequest(page_size=1))

    async def _noted(self, method: Callable[..., Awaitable[object]], request: object) -> None:
        metadata = (("authorization", f"Bearer {self._doors.key}"),)
        try:
            await method(request, metadata=metadata, timeout=CALL_SECONDS)
            self.seen.replies["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.seen.replies[checked(error)] += 1
            raise

    async def _get(self, session: aiohttp.ClientSession) -> None:
        """The gateway tries again on its own, so this takes longer."""
        async with session.get(f"{self._doors.http}/v1/orders?page_size=1") as reply:
            text = await reply.text()
            assert reply.status in (200, 503), text
            if reply.status == 503:
                assert int(reply.headers["retry-after"]) > 0
                assert not ITS_WORDS.search(text), text
            self.seen.replies[f"HTTP {reply.status}"] += 1


async def readiness(doors: Doors, expected: int) -> float:
    """Wait until `/readyz` and gRPC's health say *expected*, and return how long that took."""
    started = time.monotonic()
    serving = HealthCheckResponse.SERVING if expected == 200 else HealthCheckResponse.NOT_SERVING
    async with (
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(doors.grpc) as channel,
        asyncio.timeout(NEVER_SECONDS),
    ):
        while True:
            async with session.get(f"{doors.http}/readyz") as reply:
                health = await HealthStub(channel).Check(HealthCheckRequest())
                if (reply.status, health.status) == (expected, serving):
                    return time.monotonic() - started
            await asyncio.sleep(0.05)

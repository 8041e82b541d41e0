"""Promise 21: trouble with the database is contained; callers are told when to come again, and never its words."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import grpc
import pymysql
import pytest
from conftest import Party, free_address
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from known_keys import add_keys
from retail import a_customer, an_order
from soaking.mysqld import OwnMysql
from stack import Stack

from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, ListOrdersRequest
from tandem_client import Order, Tandem
from tandem_proto.status import METADATA_KEY, from_status

pytestmark = pytest.mark.usefixtures("deadline")

OUTAGE_SECONDS = 7
CALL_SECONDS = 4
READY_SECONDS = 5
ITS_WORDS = re.compile(r"(?i)mysql|sql|select|insert|update |\(\d{4}, |lost connection|traceback")


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMysql]:
    folder = tmp_path_factory.mktemp("mysql") / "own"
    mysql = OwnMysql(folder)
    yield mysql
    mysql.thaw()
    mysql.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def party(mysql: OwnMysql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Party]:
    mysql.ask("CREATE DATABASE tandem")
    url = mysql.url.set(database="tandem").render_as_string(hide_password=False)
    home = tmp_path_factory.mktemp("home")
    settings = {"TANDEM_DATABASE_URL": url, "TANDEM_ROUTES": "p0=e0"}
    stack = Stack(home, settings, grpc=free_address(), http=free_address(), logs=home)
    stack.migrate()
    add_keys(url)
    stack.start()
    yield Party(stack, "p0", "e0")
    assert stack.server.exit_code is None  # it was never restarted
    stack.stop()


def checked(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of a refusal, which is to say when to come again, and not what the database said."""
    details = dict(error.trailing_metadata() or ()).get(METADATA_KEY)
    assert isinstance(details, bytes), error
    told = from_status(error.code().name, error.details() or "", details)
    assert told.code in ("UNAVAILABLE", "ABORTED"), error
    assert told.retry_after, error
    assert not ITS_WORDS.search(str(told)), error
    return told.reason


class Callers:
    """Reads and writes without a retry of their own, over gRPC and REST: every reply is noted, and looked at."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self.replies: Counter[str] = Counter()
        self.created: set[str] = set()
        self.slowest = 0.0

    async def run(self) -> None:
        async with (
            grpc.aio.insecure_channel(self._party.stack.grpc, [("grpc.enable_retries", 0)]) as channel,
            aiohttp.ClientSession(headers={"authorization": f"Bearer {self._party.crm_key}"}) as session,
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
            self.slowest = max(self.slowest, time.monotonic() - started)
            await asyncio.sleep(0.05)

    async def _create(self, stub: CrmServiceStub) -> None:
        order = an_order(lines=1)
        with suppress(grpc.aio.AioRpcError):
            await self._noted(stub.CreateOrder, CreateOrderRequest(order=order))
            self.created.add(order.external_id)

    async def _list(self, stub: CrmServiceStub) -> None:
        with suppress(grpc.aio.AioRpcError):
            await self._noted(stub.ListOrders, ListOrdersRequest(page_size=1))

    async def _noted(self, method: Callable[..., Awaitable[object]], request: object) -> None:
        metadata = (("authorization", f"Bearer {self._party.crm_key}"),)
        try:
            await method(request, metadata=metadata, timeout=CALL_SECONDS)
            self.replies["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.replies[checked(error)] += 1
            raise

    async def _get(self, session: aiohttp.ClientSession) -> None:
        """The gateway tries again on its own, so this takes longer."""
        async with session.get(f"{self._party.stack.http}/v1/orders?page_size=1") as reply:
            text = await reply.text()
            assert reply.status in (200, 503), text
            if reply.status == 503:
                assert int(reply.headers["retry-after"]) > 0
                assert not ITS_WORDS.search(text), text
            self.replies[f"HTTP {reply.status}"] += 1


@asynccontextmanager
async def callers(party: Party) -> AsyncIterator[Callers]:
    """Callers for as long as the context lasts; at its end everything that was said to be stored is."""
    async with Tandem(party.stack.grpc, key=party.crm_key) as crm:
        await crm.customers.upsert(a_customer())
        calling = Callers(party)
        task = asyncio.create_task(calling.run())
        try:
            yield calling
        finally:
            done, _ = await asyncio.wait({task}, timeout=0)
            task.cancel()
            if done:
                task.result()
            await asyncio.wait({task})
        await asyncio.sleep(2.5)  # what is out of reach is asked again after two seconds
        stored = {order.external_id async for order in crm.orders.list(page_size=1000)}
    assert calling.created <= stored
    print(dict(calling.replies), f"slowest {calling.slowest:.1f} s")  # noqa: T201


async def readiness(party: Party, expected: int) -> float:
    """Wait until `/readyz` and gRPC's health say *expected*, and return how long that took."""
    started = time.monotonic()
    serving = HealthCheckResponse.SERVING if expected == 200 else HealthCheckResponse.NOT_SERVING
    async with (
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(party.stack.grpc) as channel,
        asyncio.timeout(20),
    ):
        while True:
            async with session.get(f"{party.stack.http}/readyz") as reply:
                health = await HealthStub(channel).Check(HealthCheckRequest())
                if (reply.status, health.status) == (expected, serving):
                    return time.monotonic() - started
            await asyncio.sleep(0.05)


Fault = Callable[[OwnMysql], None]
STOPPED: tuple[Fault, Fault] = OwnMysql.kill, OwnMysql.start
FROZEN: tuple[Fault, Fault] = OwnMysql.freeze, OwnMysql.thaw


@pytest.mark.parametrize("fault", [STOPPED, FROZEN], ids=["stopped", "frozen"])
async def test_promise_21_an_outage_is_told_in_time_and_ends_by_itself(
    mysql: OwnMysql, party: Party, fault: tuple[Fault, Fault]
) -> None:
    begin, end = fault
    async with callers(party) as calling:
        await asyncio.sleep(1)
        await asyncio.to_thread(begin, mysql)
        away = await readiness(party, 503)
        await asyncio.sleep(OUTAGE_SECONDS - away)
        seen = calling.replies["HTTP 503"]
        await asyncio.to_thread(end, mysql)
        back = await readiness(party, 200)
        await asyncio.sleep(1)
    print(f"not ready after {away:.1f} s, ready after {back:.1f} s, {seen} replies of 503")  # noqa: T201
    assert max(away, back) <= READY_SECONDS
    assert calling.replies["DATABASE_UNAVAILABLE"]


async def test_promise_21_killed_connections_are_replaced(mysql: OwnMysql, party: Party) -> None:
    async with callers(party) as calling:
        for _ in range(10):
            await asyncio.sleep(0.2)
            await asyncio.to_thread(mysql.kill_connections)
        before = calling.replies["OK"]
        await asyncio.sleep(1)
    assert calling.replies["OK"] > before


async def test_promise_21_deadlocks_are_told_as_such_or_not_at_all(mysql: OwnMysql, party: Party) -> None:
    """Somebody locks orders before their deliveries, again and again, which is the wrong way round."""
    deadlocks = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    before = mysql.ask(deadlocks)[0][0]
    async with Tandem(party.stack.grpc, key=party.crm_key) as crm:
        await crm.customers.upsert(a_customer())
        orders = [await crm.orders.create(an_order(lines=1)) for _ in range(3)]
    ends = time.monotonic() + 4
    locking = asyncio.gather(*(asyncio.to_thread(lock_backwards, mysql, order.id, ends) for order in orders))
    headers = {"authorization": f"Bearer {party.crm_key}"}
    replies: Counter[int] = Counter()
    async with aiohttp.ClientSession(party.stack.http, headers=headers) as session:

        async def amend(order: Order) -> None:
            while time.monotonic() < ends:
                async with session.patch(f"/v1/orders/{order.id}", json={"note": secrets.token_hex(4)}) as reply:
                    replies[reply.status] += 1
                    assert reply.status in (200, 409, 503), await reply.text()
                    assert reply.status == 200 or reply.headers["retry-after"]
                    assert not ITS_WORDS.search(await reply.text()) or reply.status == 200

        await asyncio.gather(*(amend(order) for order in orders * 2))
    await locking
    met = mysql.ask(deadlocks)[0][0] - before
    print(f"{met} deadlocks, replies {dict(replies)}")  # noqa: T201
    assert met > 0
    assert replies[200] > 0


def lock_backwards(mysql: OwnMysql, order_id: str, ends: float) -> None:
    url = mysql.url
    with pymysql.connect(host=url.host, port=url.port or 0, user="root", database="tandem") as connection:
        while time.monotonic() < ends:
            with connection.cursor() as cursor, suppress(pymysql.err.OperationalError):
                cursor.execute("SELECT 1 FROM orders WHERE id = %s FOR UPDATE", (order_id,))
                time.sleep(0.02)
                cursor.execute("SELECT 1 FROM deliveries WHERE order_id = %s FOR UPDATE", (order_id,))
            connection.rollback()

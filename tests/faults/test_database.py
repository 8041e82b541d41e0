"""Promise 21: trouble with the database is contained; callers are told when to come again, and never its words."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest
from addresses import free_address
from conftest import Party
from known_keys import add_keys
from retail import a_customer, an_order
from soaking.faults import lock_backwards
from soaking.mysqld import OwnMysql
from soaking.outages import ITS_WORDS, OUTAGES, Doors, kill_connections, outage
from stack import Stack

from tandem_client import Order, Tandem

pytestmark = pytest.mark.usefixtures("deadline")

DATABASE = "outages"
OUTAGE_SECONDS = 7
READY_SECONDS = 5


@pytest.fixture(scope="module")
def party(mysql: OwnMysql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Party]:
    mysql.ask(f"CREATE DATABASE {DATABASE}")
    url = mysql.url.set(database=DATABASE).render_as_string(hide_password=False)
    home = tmp_path_factory.mktemp("home")
    settings = {"TANDEM_DATABASE_URL": url, "TANDEM_ROUTES": "p0=e0"}
    stack = Stack(home, settings, grpc=free_address(), http=free_address(), logs=home)
    stack.migrate()
    add_keys(url)
    stack.start()
    yield Party(stack, "p0", "e0")
    assert stack.server.exit_code is None  # it was never restarted
    stack.stop()
    mysql.ask(f"DROP DATABASE {DATABASE}")


@pytest.fixture
def doors(party: Party) -> Doors:
    return Doors(party.stack.grpc, party.stack.http, party.crm_key)


@pytest.mark.parametrize("kind", OUTAGES)
async def test_promise_21_an_outage_is_told_in_time_and_ends_by_itself(
    mysql: OwnMysql, doors: Doors, kind: str
) -> None:
    seen = await outage(doors, mysql, kind, OUTAGE_SECONDS)
    print(seen)  # noqa: T201
    assert max(seen.away, seen.back) <= READY_SECONDS
    assert seen.replies["DATABASE_UNAVAILABLE"]


async def test_promise_21_killed_connections_are_replaced(mysql: OwnMysql, doors: Doors) -> None:
    print(await kill_connections(doors, mysql, 2))  # noqa: T201


async def test_promise_21_deadlocks_are_told_as_such_or_not_at_all(mysql: OwnMysql, party: Party) -> None:
    """Somebody locks orders before their deliveries, again and again, which is the wrong way round."""
    deadlocks = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    before = mysql.ask(deadlocks)[0][0]
    async with Tandem(party.stack.grpc, key=party.crm_key) as crm:
        await crm.customers.upsert(a_customer())
        orders = [await crm.orders.create(an_order(lines=1)) for _ in range(3)]
    ends = time.monotonic() + 4

    def lock(order_id: str) -> None:
        while time.monotonic() < ends:
            lock_backwards(mysql, [order_id], 0.02, DATABASE)

    locking = asyncio.gather(*(asyncio.to_thread(lock, order.id) for order in orders))
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

"""Promise 14: a keyed request counts once."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import aiohttp
import pymysql
import pytest
from conftest import Party, new_party
from retail import a_customer
from sqlalchemy.engine import make_url
from stack import Stack

from tandem.crm.v1.customer_pb2 import Customer
from tandem_client import Aborted, FailedPrecondition, InvalidArgument, NotFound, Tandem

pytestmark = pytest.mark.usefixtures("deadline")

Reply = tuple[int, Any, str | None]


@asynccontextmanager
async def rest(party: Party) -> AsyncIterator[Callable[..., Any]]:
    """Give a function that makes REST calls, each on a connection of its own: status, body, Idempotent-Replayed."""
    headers = {"authorization": f"Bearer {party.crm_key}"}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(party.stack.http, headers=headers, connector=connector) as session:

        async def call(verb: str, path: str, body: object, key: str, etag: str = "") -> Reply:
            headers = {"idempotency-key": key} | ({"if-match": etag} if etag else {})
            async with session.request(verb, path, json=body, headers=headers) as reply:
                return reply.status, await reply.json(), reply.headers.get("idempotent-replayed")

        yield call


@contextmanager
def at_database(stack: Stack) -> Iterator[pymysql.connections.Connection[Any]]:
    """Open a transaction of another process on the stack's MySQL."""
    url = make_url(stack.environment["TANDEM_DATABASE_URL"])
    assert url.host
    with closing(pymysql.connect(host=url.host, port=url.port or 3306, user="root", database=url.database)) as server:
        yield server


@contextmanager
def locked(stack: Stack, customer: Customer) -> Iterator[None]:
    """Hold a lock that every change of *customer* waits for: of its row, or of SQLite's whole file."""
    url = make_url(stack.environment["TANDEM_DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
        return
    with at_database(stack) as server:
        server.cursor().execute("SELECT id FROM customers WHERE id = %s FOR UPDATE", customer.id)
        yield


async def reads_before(crm: Tandem, customer: Customer, others: Collection[asyncio.Task[Any]]) -> int:
    """Return how many reads, one after the other, end before any of *others* does."""
    reads = 0
    while not any(other.done() for other in others):
        await crm.customers.get(customer.id)
        reads += 1
    return reads


async def test_promise_14_200_connections_with_one_key_make_one_change(party: Party) -> None:
    async with party.crm() as crm, rest(party) as call:
        customer = await crm.customers.create(a_customer())
        path = f"/v1/customers/{customer.id}"
        replies = await asyncio.gather(*(call("PATCH", path, {"phone": "1"}, "k", customer.etag) for _ in range(200)))
        changed = await crm.customers.get(customer.id)
    assert {status for status, _, _ in replies} <= {200, 409}
    bodies = [body for status, body, _ in replies if status == 200]
    assert bodies
    assert all(body == bodies[0] for body in bodies)
    assert {body["reason"] for status, body, _ in replies if status == 409} <= {"IDEMPOTENCY_KEY_IN_USE"}
    assert [replayed for status, _, replayed in replies if status == 200].count(None) == 1
    assert (changed.phone, changed.etag) == ("1", bodies[0]["etag"])


async def test_a_slow_keyed_write_and_199_twins_leave_the_pool_to_others(party: Party) -> None:
    """The write waits 3 s for a lock, longer than a statement may and longer than twins do, and no read for them."""
    async with party.crm() as crm, party.crm() as other:
        customer = await crm.customers.create(a_customer())

        def change() -> Any:
            changes = Customer(phone="1")
            return crm.customers.update(customer.id, changes, etag=customer.etag, idempotency_key="slow")

        with locked(party.stack, customer):
            first, enough = asyncio.create_task(change()), asyncio.create_task(asyncio.sleep(3))
            await asyncio.sleep(0.2)
            twins = [asyncio.create_task(change()) for _ in range(199)]
            reads = await reads_before(other, customer, twins)
            told = await asyncio.gather(*twins, return_exceptions=True)
            await enough
            assert not first.done()
        changed = await first
        again = await change()
    assert reads >= 5
    refusals = {(type(error), getattr(error, "reason", ""), getattr(error, "retry_after", None)) for error in told}
    assert refusals == {(Aborted, "IDEMPOTENCY_KEY_IN_USE", 1)}
    assert (changed.phone, again) == ("1", changed)


async def test_who_left_and_asks_again_waits_for_the_first_and_gets_its_reply(party: Party) -> None:
    async with party.crm() as crm:
        customer = await crm.customers.create(a_customer())
        update = {"etag": customer.etag, "idempotency_key": "k"}
        with locked(party.stack, customer):
            for _ in range(8):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(crm.customers.update(customer.id, Customer(phone="1"), **update), 0.1)
            assert await reads_before(crm, customer, [asyncio.create_task(asyncio.sleep(1))]) >= 5
        changed = await crm.customers.update(customer.id, Customer(phone="1"), **update)
        assert changed == await crm.customers.get(customer.id)


async def test_what_its_caller_left_may_fail_and_the_log_says_nothing_of_it(party: Party) -> None:
    async with party.crm() as crm:
        customer = await crm.customers.create(a_customer())
        left = crm.customers.update(customer.id, Customer(phone="1"), etag='"old"', idempotency_key="k")
        with locked(party.stack, customer), pytest.raises(TimeoutError):
            await asyncio.wait_for(left, 0.3)
        after = await crm.customers.update(customer.id, Customer(phone="2"), etag=customer.etag)
    assert after.phone == "2"
    assert "never retrieved" not in (party.stack.home / "server.log").read_text()


async def test_two_servers_on_one_database_let_one_in(
    make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    url = make_database("mysql")
    stacks = make_stack(url), make_stack(url)
    party = new_party(stacks[0])
    async with party.crm() as one, party.crm(stacks[1]) as two:
        customer = await one.customers.create(a_customer())
        update = {"etag": customer.etag, "idempotency_key": "k"}
        with locked(stacks[0], customer):
            racing = [
                asyncio.create_task(crm.customers.update(customer.id, Customer(phone="1"), **update))
                for crm in (one, two) * 20
            ]
            await asyncio.sleep(0.7)
        replies = await asyncio.gather(*racing)
        assert all(reply == replies[0] for reply in replies)
        assert replies[0] == await two.customers.get(customer.id)


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
async def test_a_key_that_another_server_holds_for_long_is_in_use(stack: Stack, party: Party) -> None:
    async with party.crm() as crm:
        customer = await crm.customers.create(a_customer())
        with at_database(stack) as server:
            values = ("k", "/tandem.crm.v1.CrmService/UpdateCustomer", f"{party.source}/*")
            insert = "INSERT INTO idempotency_keys VALUES (%s, %s, %s, '', '', '{}', UTC_TIMESTAMP(6), NULL)"
            server.cursor().execute(insert, values)
            with pytest.raises(Aborted) as refused:
                await crm.customers.update(customer.id, Customer(phone="1"), idempotency_key="k")
        assert refused.value.reason == "IDEMPOTENCY_KEY_IN_USE"
        assert (await crm.customers.update(customer.id, Customer(phone="1"), idempotency_key="k")).phone == "1"


async def test_another_request_under_the_key_is_refused(party: Party) -> None:
    async with party.crm() as crm, rest(party) as call:
        customer = await crm.customers.create(a_customer())
        path = f"/v1/customers/{customer.id}"
        assert (await call("PATCH", path, {"phone": "1"}, "k"))[0] == 200
        status, problem, _ = await call("PATCH", path, {"phone": "2"}, "k")
        assert (status, problem["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        with pytest.raises(FailedPrecondition) as refused:
            await crm.customers.update(customer.id, Customer(phone="3"), idempotency_key="k")
        assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
        assert (await crm.customers.get(customer.id)).phone == "1"


async def test_a_replay_is_the_first_reply_to_its_headers_and_outlives_the_server(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    stack = make_stack(make_database(database))
    async with rest(new_party(stack)) as call:
        lines = [{"sku": "s", "quantity": "1", "unit_price": "1"}]
        order = {"external_id": "1", "customer_external_id": "c", "currency": "GBP", "lines": lines}
        requests = [
            ("PUT", "/v1/customers/external/c", {"name": "Ada"}, "k"),
            ("POST", "/v1/orders", order, "k"),
        ]
        first = [await call(*request) for request in requests]
        assert [(status, replayed) for status, _, replayed in first] == [(200, None), (201, None)]
        assert (await call("PUT", "/v1/customers/external/c", {"name": "Bea"}, "k2"))[0] == 200
        await asyncio.to_thread(stack.server.stop)
        await asyncio.to_thread(stack.server.start)
        await asyncio.to_thread(stack.wait_until_ready)
        replays = [await call(*request) for request in requests]
        assert replays == [(status, body, "true") for status, body, _ in first]
        assert (await call("PUT", "/v1/customers/external/c", {"name": "Bea"}, "k3"))[1]["name"] == "Bea"
    await asyncio.to_thread(stack.stop)


async def test_a_failed_call_keeps_nothing(party: Party) -> None:
    async with party.crm() as crm:
        with pytest.raises(NotFound):
            await crm.customers.update("cus_" + "0" * 26, Customer(phone="1"), idempotency_key="k")
        customer = await crm.customers.create(a_customer())
        changed = await crm.customers.update(customer.id, Customer(phone="1"), idempotency_key="k")
        assert changed.phone == "1"


async def test_keys_of_two_parties_or_of_two_methods_do_not_meet(stack: Stack) -> None:
    async with rest(new_party(stack)) as one, rest(new_party(stack)) as two:
        made = [await call("POST", "/v1/customers", {"external_id": "1", "name": "Ada"}, "k") for call in (one, two)]
        assert [(status, replayed) for status, _, replayed in made] == [(201, None), (201, None)]
        path = f"/v1/customers/{made[0][1]['id']}"
        status, changed, replayed = await one("PATCH", path, {"name": "Bea"}, "k")
        assert (status, changed["name"], replayed) == (200, "Bea", None)


@pytest.mark.parametrize("key", ["", "é", "x" * 256, "a\tb"])
async def test_unfit_keys_are_refused(party: Party, key: str) -> None:
    async with rest(party) as call:
        status, problem, _ = await call("POST", "/v1/customers", {"external_id": "1", "name": "Ada"}, key)
        assert (status, [error["field"] for error in problem["errors"]]) == (400, ["idempotency-key"])


async def test_an_overlong_key_is_refused_over_grpc_and_the_longest_is_not(party: Party) -> None:
    async with party.crm() as crm:
        customer = await crm.customers.create(a_customer())
        with pytest.raises(InvalidArgument) as refused:
            await crm.customers.update(customer.id, Customer(phone="1"), idempotency_key="x" * 256)
        assert [wrong.field for wrong in refused.value.fields] == ["idempotency-key"]
        longest = secrets.token_hex(128)[:255]
        await crm.customers.update(customer.id, Customer(phone="1"), idempotency_key=longest)

"""Tandem at work for one figure: a fresh database, servers with their gateways, and what is stored."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from addresses import free_address
from dev_env import keys_of
from stack import Stack

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.databases import Database, fresh
from benchmarks.places import Place
from benchmarks.templates import Template
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement

ORDERS_A_CUSTOMER = 100


@dataclass(frozen=True)
class Options:
    """How to measure: on which database (a URL), how often, with how many *orders* where they are very many.

    `core` watches throughputs for *seconds*, and a *backlog* that is taken in batches; `integration` rates of *rows*;
    `housekeeping` deletes as many old *rows* of each kind, and connects streams again as often as *reconnects* says.
    """

    database: str
    rounds: int
    orders: int = 1_000_000
    seconds: float = 3
    backlog: int = 20_000
    batch: int = 500
    rows: int = 100_000
    reconnects: int = 100_000

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite."""
        return self.database.startswith("sqlite")


class Site:
    """Running servers, the first of which made the two templates: an order that is done, and one that waits."""

    def __init__(self, database: Database, places: list[Place]) -> None:
        self.database, self.places = database, places
        done, waiting = apart(make_templates, places[0])
        engine = database.engine()
        self.done, self.waiting = Template(engine, done), Template(engine, waiting)

    @property
    def place(self) -> Place:
        """The first server."""
        return self.places[0]

    @property
    def templates(self) -> tuple[Template, Template]:
        """Both templates, each of which is an order that is stored."""
        return self.done, self.waiting

    def fill(self, done: int, waiting: int) -> None:
        """Store so many orders, just as the server would have stored them."""
        started, customers = time.monotonic(), _customers(done + waiting)
        self.done.add_customers(customers)
        self.done.add(done, customers)
        self.waiting.add(waiting, customers)
        self.done.analyze()
        say(f"  {done + waiting:,} orders stored in {time.monotonic() - started:.0f} s")

    def refill(self, waiting: int) -> None:
        """Remove every order, and store as many that wait, of the customers of a `fill` of that size."""
        self.done.clear()
        self.waiting.add(waiting, _customers(waiting))
        self.waiting.analyze()


@contextmanager
def site(
    options: Options,
    *,
    servers: int = 1,
    drivers: Sequence[str] = (),
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Site]:
    """Start *servers* servers, or one for each of *drivers*, with a gateway each and *settings* on a fresh database.

    They stop at the end, and the database goes.
    """
    with ExitStack() as context:
        folder = Path(context.enter_context(tempfile.TemporaryDirectory(prefix="tandem-bench-")))
        database = context.enter_context(fresh(options.database, folder))
        databases = [database.driven_by(driver) for driver in drivers] or [database] * servers
        yield Site(database, [start(context, folder / str(n), each, settings) for n, each in enumerate(databases)])


async def make_templates(place: Place) -> tuple[str, str]:
    """Make a customer and two orders through the server, one of them acknowledged, and return the orders' ids."""
    async with place.crm() as crm, place.worker() as worker:
        await crm.customers.create(samples.customer())
        done = await crm.orders.create(samples.order())
        (delivery,) = await worker.erp.lease("bench", max_orders=1)
        document = f"SO-{done.external_id}"
        told = Acknowledgement(order_id=done.id, lease_token=delivery.lease_token, erp_document=document)
        await worker.erp.acknowledge([told])
        await asyncio.sleep(0.01)  # so that the ids differ in their time
        waiting = await crm.orders.create(samples.order())
        return done.id, waiting.id


def _customers(orders: int) -> int:
    return max(1, orders // ORDERS_A_CUSTOMER)


def say(text: str) -> None:
    """Tell people how far we are."""
    print(text, file=sys.stderr, flush=True)


def start(context: ExitStack, home: Path, database: Database, settings: Mapping[str, str]) -> Place:
    """Start a server and a gateway with *settings*, which *context* stops."""
    home.mkdir()
    stack = Stack(
        home, {"TANDEM_DATABASE_URL": database.url, **settings}, grpc=free_address(), http=free_address(), logs=home
    )
    context.callback(stack.stop)
    stack.migrate()
    stack.start()
    pids = {"server": stack.server.pid, "gateway": stack.gateway.pid}
    pids |= {"database": pid} if (pid := database.pid()) else {}
    return Place(stack.grpc, stack.http, database, pids, keys_of(stack, {}), home / "server.log")

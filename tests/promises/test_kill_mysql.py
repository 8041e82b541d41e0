"""Promises 1 and 3 with two servers on one MySQL, all three killed again and again under load."""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pymysql
import pytest
from conftest import Party, free_address
from known_keys import add_keys
from soaking.mysqld import OwnMysql
from stack import Stack

from .load import MOST_SECONDS, Ledger, Load, check

ORDERS = 1000
KILLS_OF_MYSQL, KILLS_OF_SERVERS = 6, 14


@pytest.fixture
def own_mysql(tmp_path: Path) -> Iterator[OwnMysql]:
    mysql = OwnMysql(tmp_path / "mysql")
    yield mysql
    mysql.kill()
    shutil.rmtree(tmp_path / "mysql")


@pytest.fixture
def servers(own_mysql: OwnMysql, tmp_path: Path) -> Iterator[list[Stack]]:
    """Two servers without gateways."""
    own_mysql.ask("CREATE DATABASE tandem")
    url = own_mysql.url.set(database="tandem").render_as_string(hide_password=False)
    made: list[Stack] = []
    for name in ("one", "two"):
        settings = {"TANDEM_DATABASE_URL": url, "TANDEM_ROUTES": "p0=e0"}
        (tmp_path / name).mkdir()
        made.append(Stack(tmp_path / name, settings, grpc=free_address(), http="", logs=tmp_path / name))
    made[0].migrate()
    add_keys(url)
    for stack in made:
        stack.server.start()
    yield made
    for stack in made:
        stack.server.stop(signal.SIGKILL)


async def keep_up(servers: list[Stack], finished: asyncio.Event) -> None:
    """Start what ended, as a supervisor does: a server ends by itself where it starts without a database."""
    while not finished.is_set():
        for stack in servers:
            if stack.server.exit_code is not None:
                stack.server.start()
        await asyncio.sleep(0.1)


async def kill_one(servers: list[Stack]) -> None:
    """Kill a server that runs; whoever keeps it up starts it again."""
    while not (running := [stack for stack in servers if stack.server.exit_code is None]):  # noqa: ASYNC110 - a process
        await asyncio.sleep(0.05)
    random.choice(running).server.stop(signal.SIGKILL)


def hurry(mysql: OwnMysql) -> None:
    with suppress(pymysql.err.OperationalError):
        mysql.ask("UPDATE tandem.deliveries SET available_at = lease_expires_at WHERE lease_token IS NOT NULL")


async def kill_mysql(mysql: OwnMysql) -> None:
    await asyncio.to_thread(mysql.kill)
    await asyncio.to_thread(mysql.start)


async def test_promise_1_and_3_survive_kills_of_two_servers_and_of_mysql(
    own_mysql: OwnMysql, servers: list[Stack], tmp_path: Path
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - whoever sees a failure needs it
    random.seed(seed)
    kills: list[Callable[[], Awaitable[None]]] = [
        *[lambda: kill_mysql(own_mysql)] * KILLS_OF_MYSQL,
        *[lambda: kill_one(servers)] * KILLS_OF_SERVERS,
    ]
    random.shuffle(kills)
    ledger, finished = Ledger(tmp_path / "ledger.jsonl"), asyncio.Event()
    points = random.sample(range(1, ORDERS), len(kills))
    load = Load(Party(servers[0], "p0", "e0"), [stack.grpc for stack in servers], ledger, ORDERS, points)
    async with asyncio.timeout(MOST_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_up(servers, finished))
        running = tasks.create_task(load.run(lambda: hurry(own_mysql)))
        for kill in kills:
            await load.due.acquire()
            await asyncio.sleep(random.uniform(0, 0.1))
            await kill()
        await running
        finished.set()
    await load.close()
    check(ledger, running.result(), ORDERS)

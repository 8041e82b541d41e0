"""Real servers, gateways and databases for the tests: every promise is tried from outside."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pymysql
import pytest
from addresses import free_address
from hypothesis import HealthCheck, settings
from known_keys import PARTIES, Holder, add_keys
from known_secrets import write_secrets
from sqlalchemy.engine import URL, make_url
from stack import Stack

from tandem_client import Tandem

ROOT = Path(__file__).parent.parent
ROUTES = ",".join(f"p{n}=e{n}" for n in range(PARTIES)) + ",crm=default"
SECRET = "what erased customers are known by here"
numbers = itertools.count()


# How fast a machine makes examples says nothing of the code.
settings.register_profile("tandem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tandem")


def mysql_url(flavour: str = "mysql") -> URL:
    """Return where the real MySQL, or MariaDB, is; `scripts/test` starts the first."""
    variable = f"TANDEM_TEST_{flavour.upper()}_URL"
    told = os.environ.get(variable)
    if not told:
        command = [str(ROOT / "scripts" / "mysql"), "start", *(["--mariadb"] if flavour == "mariadb" else [])]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout.strip()
        os.environ[variable] = told
    return make_url(told)


def ask_mysql(statement: str, url: URL | None = None) -> list[tuple[object, ...]]:
    url = url or mysql_url()
    connection = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username or "root", password=url.password or ""
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()
        return list(cursor.fetchall())


def change_database(stack: Stack, statement: str) -> None:
    """Run *statement* behind the server's back, as tests of time do: they move `available_at`, never a clock."""
    url = make_url(stack.environment["TANDEM_DATABASE_URL"])
    if url.get_backend_name() == "mysql":
        ask_mysql(re.sub(r" (deliveries|orders) ", rf" {url.database}.\1 ", statement), url)
        return
    with closing(sqlite3.connect(str(url.database), timeout=10)) as connection, connection:
        connection.execute(statement)


def pytest_report_header() -> str:
    return f"real MySQL: {ask_mysql('SELECT CONCAT(VERSION(), SPACE(1), @@version_comment)')[0][0]}"


@pytest.fixture(scope="session", params=["sqlite", "mysql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def make_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give fresh databases' URLs by kind: "sqlite", "mysql", or "asyncmy" (MySQL by that driver), or "mariadb"."""
    made: list[URL] = []

    def make(kind: str) -> str:
        name = f"tandem_{secrets.token_hex(6)}"
        if kind == "sqlite":
            return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('sqlite') / name}.db"
        url = mysql_url("mariadb" if kind == "mariadb" else "mysql")
        ask_mysql(f"CREATE DATABASE {name}", url)
        made.append(url.set(database=name))
        driver = "mysql+asyncmy" if kind == "asyncmy" else url.drivername
        return made[-1].set(drivername=driver).render_as_string(hide_password=False)

    yield make
    for url in made:
        ask_mysql(f"DROP DATABASE {url.database}", url)


@pytest.fixture(scope="session")
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Give started stacks on a database URL; further settings by keyword, as in pool_size="2" or otel_..="..."."""
    made: list[Stack] = []

    def make(url: str, **settings: str) -> Stack:
        home = tmp_path_factory.mktemp("home")
        environment = {"TANDEM_DATABASE_URL": url, "TANDEM_ROUTES": ROUTES, "TANDEM_SECRET": SECRET}
        environment |= {
            "TANDEM_DRAIN_NOTICE_SECONDS": "0",
            "TANDEM_HTTP_NOTICE_SECONDS": "0",
        }  # nobody balances load here
        environment["TANDEM_WEBHOOK_SECRETS_FILE"] = str(write_secrets(home / "secrets.json"))
        names = {name: name if name.startswith("otel_") else f"tandem_{name}" for name in settings}
        environment |= {names[name].upper(): value for name, value in settings.items()}
        stack = Stack(home, environment, grpc=free_address(), http=free_address(), logs=home)
        stack.migrate()
        add_keys(url)
        made.append(stack)
        stack.start()
        return stack

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture(scope="session")
def stack(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """One stack a database, shared by all tests that break nothing; each test has a party of its own."""
    return make_stack(make_database(database))


@pytest.fixture
async def deadline() -> AsyncIterator[None]:
    """No test waits for ever."""
    async with asyncio.timeout(120):
        yield


@dataclass
class Party:
    """A CRM and the ERP its orders go to; nobody else has either."""

    stack: Stack
    source: str
    erp: str

    @property
    def crm_key(self) -> str:
        return Holder("crm", source=self.source).key

    @property
    def erp_key(self) -> str:
        return Holder("erp", erp=self.erp).key

    @property
    def integration_key(self) -> str:
        return Holder("integration", source=self.source).key

    @property
    def operator_key(self) -> str:
        return Holder("operator", erp=self.erp).key

    def crm(self, stack: Stack | None = None) -> Tandem:
        return Tandem((stack or self.stack).grpc, key=self.crm_key)

    def worker(self, stack: Stack | None = None) -> Tandem:
        return Tandem((stack or self.stack).grpc, key=self.erp_key)


def new_party(stack: Stack) -> Party:
    number = next(numbers)
    assert number < PARTIES
    return Party(stack, f"p{number}", f"e{number}")


@pytest.fixture
def party(stack: Stack) -> Party:
    return new_party(stack)


@pytest.fixture
async def http(stack: Stack, party: Party) -> AsyncIterator[aiohttp.ClientSession]:
    """A REST caller with the CRM's key."""
    headers = {"authorization": f"Bearer {party.crm_key}"}
    async with aiohttp.ClientSession(stack.http, headers=headers) as session:
        yield session

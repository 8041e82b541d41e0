"""The two users of docker-compose.yml: one owns the tables, the other serves and can do no more than that."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator

import pymysql
import pytest
from conftest import ROOT, ask_mysql, new_party
from crm.erp import acknowledge, lease_one
from retail import hand_over
from sqlalchemy.engine import URL, make_url
from stack import BIN, Stack

from tandem_server.migrations import migrate

pytestmark = pytest.mark.usefixtures("deadline")


def said_to_mysql(name: str) -> str:
    """Return what `mysql-users.sh` makes the MySQL image run for a database of this *name*."""
    script = ROOT / "server/compose/mysql-users.sh"
    image = f"docker_process_sql() {{ cat; }}; TANDEM_MYSQL_PASSWORD=served MYSQL_DATABASE={name}; . {script}"
    return subprocess.run(["sh", "-euc", image], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def users(make_database: Callable[[str], str]) -> Iterator[tuple[URL, URL]]:
    """Give the URLs of the owner and of the one who serves, named after the database to be alone."""
    root = make_url(make_database("mysql"))
    owner, server = f"{root.database}_owner", str(root.database)
    ask_mysql(f"CREATE USER '{owner}'@'%' IDENTIFIED BY 'owned'")
    ask_mysql(f"GRANT ALL ON `{root.database}`.* TO '{owner}'@'%'")  # as the image does for MYSQL_USER
    for statement in said_to_mysql(server).replace("'tandem'@", f"'{server}'@").split(";\n")[:-1]:
        ask_mysql(statement)
    yield root.set(username=owner, password="owned"), root.set(username=server, password="served")
    ask_mysql(f"DROP USER '{owner}'@'%', '{server}'@'%'")


def make_key(url: str) -> str:
    """Make the first admin key as an operator does in the server's container."""
    command = [str(BIN / "tandem-server"), "keys", "create", "--name", "first", "--role", "admin"]
    environment = os.environ | {"TANDEM_DATABASE_URL": url}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


async def test_one_migrates_and_the_other_serves(users: tuple[URL, URL], make_stack: Callable[..., Stack]) -> None:
    owner, server = (url.render_as_string(hide_password=False) for url in users)
    await asyncio.to_thread(migrate, owner)
    party = new_party(make_stack(server))
    async with party.crm() as crm, party.worker() as worker:
        await hand_over(crm, 1)
        assert await acknowledge(worker, await lease_one(worker)) == "ACKNOWLEDGED"
    assert await asyncio.to_thread(make_key, server)
    with pytest.raises(pymysql.err.OperationalError, match="denied"):
        ask_mysql(f"DROP TABLE {users[1].database}.orders", users[1])

"""The command `tandem-server keys`: an administrator at the database, who needs no key."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tandem.admin.v1 import key_pb2
from tandem.admin.v1 import key_requests_pb2 as key_pb
from tandem_server.domain.principals import SCOPES, Principal
from tandem_server.migrations import head
from tandem_server.rpc.admin import new_key
from tandem_server.rpc.validation import validate
from tandem_server.settings import Settings
from tandem_server.storage import keys as stored_keys
from tandem_server.storage.checks import check
from tandem_server.storage.database import Database
from tandem_server.usecases import keys

ADMINISTRATOR = Principal("tandem-server", source=None, erp=None, scopes=SCOPES["admin"])
LINE = "{:30}  {:7}  {:20}  {:12}  {:12}  {:16}  {}\n"


def add_keys(commands: Any) -> None:
    """Add `keys` to the commands of the command line."""
    verbs = commands.add_parser("keys", help="make, list and revoke keys").add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--name", required=True, help="what people call it")
    create.add_argument(
        "--role", required=True, action="append", choices=SCOPES, help="what it may do; may be repeated"
    )
    create.add_argument("--source", default="", help="the party it speaks for; default: all")
    create.add_argument("--erp", default="", help="the ERP it speaks for; default: all")
    create.add_argument("--days", type=_days, help="how long it counts, in days; default: for ever")
    verbs.add_parser("list", help="list the keys, without their secrets")
    verbs.add_parser("revoke", help="end a key for good").add_argument(
        "id", help="as in key_01h455vb4pex5vsknk084sn02q"
    )


def _days(text: str) -> timedelta:
    """Read a number of days, a hundred years at most. Raises ArgumentTypeError."""
    if not (text.isdecimal() and 1 <= int(text) <= 36_500):
        raise argparse.ArgumentTypeError("must be from 1 to 36500")
    return timedelta(days=int(text))


async def run_keys(settings: Settings, arguments: argparse.Namespace) -> None:
    """Do what *arguments* say. Raises TandemError, and UnfitDatabaseError where the schema is not there."""
    await check(settings.url, head())
    database = Database(settings.url, pool_size=1)
    try:
        if arguments.verb == "create":
            await _create(database, settings.environment, arguments)
        elif arguments.verb == "list":
            await _list(database)
        else:
            await _revoke(database, arguments.id)
    finally:
        await database.close()


async def _create(database: Database, environment: str, arguments: argparse.Namespace) -> None:
    roles = [key_pb2.Role.Value(f"ROLE_{role.upper()}") for role in arguments.role]
    message = key_pb2.Key(name=arguments.name, roles=roles, source=arguments.source, erp=arguments.erp)
    if arguments.days is not None:
        message.expires_at.FromDatetime(datetime.now(UTC) + arguments.days)
    validate(key_pb.CreateKeyRequest(key=message))
    made = await database.write(lambda tx: keys.create(tx, ADMINISTRATOR, new_key(message), environment))
    sys.stdout.write(f"{made.text}\n")
    sys.stderr.write(f"{made.row.id}: keep the key now, nobody can read it again\n")


async def _list(database: Database) -> None:
    sys.stdout.write(LINE.format("ID", "STATE", "ROLES", "SOURCE", "ERP", "LAST USED", "NAME"))
    after_id, more = "", True
    while more:
        page = partial(stored_keys.page, reader=ADMINISTRATOR, after_id=after_id, limit=1000)
        rows, more = await database.read(page)
        for row in rows:
            sys.stdout.write(LINE.format(*_cells(row)))
            after_id = row.id


def _cells(row: Any) -> tuple[str, ...]:
    expired = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    state = "revoked" if row.revoked_at else "expired" if expired else "live"
    used = f"{row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else "never"
    return row.id, state, ",".join(row.roles), row.source or "*", row.erp or "*", used, row.name


async def _revoke(database: Database, key_id: str) -> None:
    validate(key_pb.RevokeKeyRequest(id=key_id))
    row = await database.write(lambda tx: keys.revoke(tx, ADMINISTRATOR, key_id))
    sys.stdout.write(f"{row.id} ({row.name}) is revoked\n")

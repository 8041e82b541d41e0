"""Replies kept under idempotency keys, in the transaction of the write that they tell of."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import DBAPIError

from tandem_proto.errors import Aborted
from tandem_server.storage.database import Transaction
from tandem_server.storage.dialects import waited_in_vain
from tandem_server.storage.tables import idempotency_keys as kept


class Slot(NamedTuple):
    """Where a reply is kept: under the caller's key, for one method and one party."""

    idempotency_key: str
    method: str
    party: str


class Reply(NamedTuple):
    """What a write ended with; `fingerprint` is its request's, `replayed` true where it happened in an earlier call.

    `customer_id` is whom it tells of, empty where it is nobody.
    """

    fingerprint: str
    response: bytes
    headers: dict[str, str]
    replayed: bool = False
    customer_id: str = ""


async def find(tx: Transaction, slot: Slot) -> Reply | None:
    """Return the reply that is kept in *slot*."""
    rows = await tx.rows(select(kept.c.fingerprint, kept.c.response, kept.c.headers).where(*_is(slot)))
    return next((Reply(row.fingerprint, row.response, row.headers, replayed=True) for row in rows), None)


async def claim(tx: Transaction, slot: Slot, fingerprint: str) -> None:
    """Take *slot*: whoever else wants it waits until this transaction ends.

    A slot that is taken raises DBAPIError, and the unit runs again. Raises Aborted where another process is at it, and
    takes longer than locks are waited for: to run again would wait as long again, on a connection.
    """
    empty = {"fingerprint": fingerprint, "response": b"", "headers": {}, "created_at": await tx.now()}
    try:
        await tx.execute(insert(kept), [slot._asdict() | empty])
    except DBAPIError as error:
        if waited_in_vain(error):
            raise in_use() from error
        raise


async def keep(tx: Transaction, slot: Slot, reply: Reply) -> None:
    """Put *reply* into *slot*, which this transaction has claimed."""
    values = {"response": reply.response, "headers": reply.headers, "customer_id": reply.customer_id}
    await tx.execute(update(kept).where(*_is(slot)).values(values))


def in_use() -> Aborted:
    """Return the error of a call whose twin is still under way."""
    message = "another call with this idempotency key is under way: repeat this one"
    return Aborted(message, reason="IDEMPOTENCY_KEY_IN_USE", retry_after=1)


def _is(slot: Slot) -> list[ColumnElement[bool]]:
    return [kept.c[name] == value for name, value in slot._asdict().items()]

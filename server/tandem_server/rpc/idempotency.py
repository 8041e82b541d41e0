"""Idempotency keys: a write that carries one happens once, and its repetitions get the reply of the first."""

from __future__ import annotations

import asyncio
import random
import re
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message

from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.order_pb2 import Order
from tandem_proto.catalogue import Method, methods
from tandem_proto.errors import FailedPrecondition, FieldViolation, InvalidArgument
from tandem_server.storage.database import Database, Transaction, Unit
from tandem_server.storage.idempotency import Reply, Slot, claim, find, in_use, keep

METADATA = "idempotency-key"
REPLAYED = "tandem-http-idempotent-replayed"

TWIN_SECONDS = 1.0, 2.0
"""How long a call waits for its twin: at most as long as a transaction waits for a lock, and each its own time.

Hundreds that give up at one moment, and come back at one moment, would keep the process from everybody else.
"""

_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")  # databases disagree about spaces at the ends
_RESPONSES = {method.path: method.response for method in methods()}


def slot_of(key: str, method: Method, party: str) -> Slot:
    """Return where the reply to *party*'s call of *method* is kept. Raises InvalidArgument for an unfit *key*."""
    if not _KEY.fullmatch(key):
        wrong = FieldViolation(METADATA, "must be 1 to 255 printable ASCII characters, no space at either end")
        raise InvalidArgument(f"{METADATA} {wrong.description}", fields=[wrong])
    return Slot(key, method.path, party)


async def once(database: Database, slot: Slot, request: Message, body: Unit[Any], headers: dict[str, str]) -> Any:
    """Do *body*, or what it did before under *slot*: return its response and fill the reply's *headers*.

    Raises FailedPrecondition where the key was used for another request, Aborted where a twin is under way and takes
    long, and whatever `Database.write` raises; then nothing is kept.
    """
    write = KeyedWrite(slot, request, body, headers)
    reply = await _twins.reply(database, write)
    if reply.fingerprint != write.fingerprint:
        message = "the idempotency key was used for another request: take a new key for a new request"
        raise FailedPrecondition(message, reason="IDEMPOTENCY_KEY_REUSED")
    if reply.replayed:
        headers.update(reply.headers, **{REPLAYED: "true"})
    return _RESPONSES[slot.method].FromString(reply.response)


class KeyedWrite:
    """A unit of work around another: in one transaction it claims the slot, does the work and keeps the reply."""

    def __init__(self, slot: Slot, request: Message, body: Unit[Any], headers: dict[str, str]) -> None:
        self.slot = slot
        self.fingerprint = sha256(request.SerializeToString(deterministic=True)).hexdigest()
        self.begun = False
        self._body = body
        self._headers = headers

    async def __call__(self, tx: Transaction) -> Reply:
        """Run, or where the slot was taken in the first run, return what is in it."""
        if self.begun and (reply := await find(tx, self.slot)):
            return reply
        self.begun = True
        await claim(tx, self.slot, self.fingerprint)
        response = await self._body(tx)
        told = response.SerializeToString()
        reply = Reply(self.fingerprint, told, dict(self._headers), customer_id=customer_in(response))
        await keep(tx, self.slot, reply)
        return reply


def customer_in(response: Any) -> str:
    """Return the id of the customer whom *response* tells of, empty where it is nobody; no write tells of several."""
    for field, value in response.ListFields():
        if field.message_type is Customer.DESCRIPTOR:
            return str(value.id)
        if field.message_type is Order.DESCRIPTOR:
            return str(value.customer_id)
    return ""


class Twins:
    """Lets one call of a slot in at a time; its twins wait here, and not for a connection, and get its reply."""

    def __init__(self) -> None:
        self._running: dict[tuple[Database, Slot], asyncio.Task[Reply]] = {}

    async def reply(self, database: Database, write: KeyedWrite) -> Reply:
        """Run *write*, or return what a twin ends with; one that fails makes room for the next. Raises Aborted."""
        place = database, write.slot
        try:
            async with asyncio.timeout(random.uniform(*TWIN_SECONDS)):
                while twin := self._running.get(place):
                    await asyncio.wait({twin})
                    if not twin.cancelled() and twin.exception() is None:
                        return twin.result()._replace(replayed=True)
        except TimeoutError:
            raise in_use() from None
        running = self._running[place] = asyncio.create_task(database.write(write))
        running.add_done_callback(lambda _: self._running.pop(place))
        running.add_done_callback(lambda done: done.cancelled() or done.exception())  # its caller may have left
        return await _unless_abandoned(running, write)


async def _unless_abandoned(running: asyncio.Task[Reply], write: KeyedWrite) -> Reply:
    """Return what *running* ends with. A caller that leaves ends it only before *write* has begun.

    What has begun goes on in the database, and the twins, the same caller's next attempt first, must wait for it.
    """
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if not write.begun:
            running.cancel()
        raise


_twins = Twins()

"""How a method meets the database: `@reads` or `@writes`, one transaction a call; a write with a key happens once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from tandem_server.domain.principals import Caller
from tandem_server.rpc.idempotency import once
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.idempotency import Slot

Context = grpc.aio.ServicerContext[Any, Any]

CALLER: ContextVar[Caller] = ContextVar("CALLER")
"""Who makes the call that the current task serves; the auth guard sets it, each call having a task of its own."""


HEADERS: ContextVar[dict[str, str]] = ContextVar("HEADERS")
"""What the reply to the current call says in metadata; the guard makes it and sends it."""

SLOT: ContextVar[Slot | None] = ContextVar("SLOT", default=None)
"""Where the reply to the current call is kept, if its caller sent an idempotency key; the guard sets it."""


HTTP_HEADER = "tandem-http-"
"""Metadata with this prefix becomes an HTTP header of the gateway's reply."""


def set_header(name: str, value: str) -> None:
    """Make the gateway's reply to the current call carry the HTTP header *name*."""
    HEADERS.get()[f"{HTTP_HEADER}{name}"] = value


async def whole(requests: AsyncIterator[Req], context: Context) -> AsyncIterator[Req]:
    """Yield *requests* to their end, which is one only if the caller ended them: a cancel raises CancelledError.

    grpc.aio ends the iteration over the requests of a call that is cancelled, too, and tells of the cancel a moment
    later: by the time that the next operation of the call completes, or by its failure.
    """
    async for request in requests:
        yield request
    try:
        await context.send_initial_metadata(())
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


class HasDatabase(Protocol):
    """A servicer: it knows its database."""

    @property
    def database(self) -> Database:
        """The database its methods work on."""


S = TypeVar("S", bound=HasDatabase)
Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res")
Body = Callable[[S, Req, Transaction, Caller], Awaitable[Res]]
Servicer = Callable[[S, Req, Context], Awaitable[Res]]


def reads(body: Body[S, Req, Res]) -> Servicer[S, Req, Res]:
    """Make a method that only reads of *body*, which gets the request, a transaction and the caller."""

    @wraps(body)
    async def method(self: S, request: Req, _context: Context) -> Res:
        caller = CALLER.get()
        return await self.database.read(lambda tx: body(self, request, tx, caller))

    return method


def writes(body: Body[S, Req, Res]) -> Servicer[S, Req, Res]:
    """Make a method that writes of *body*, which gets the request, a transaction and the caller; it may run again.

    A call with an idempotency key happens once: a repetition gets the first one's reply.
    """

    @wraps(body)
    async def method(self: S, request: Req, _context: Context) -> Res:
        caller, slot = CALLER.get(), SLOT.get()

        def unit(tx: Transaction) -> Awaitable[Res]:
            return body(self, request, tx, caller)

        if slot is None:
            return await self.database.write(unit)
        response: Res = await once(self.database, slot, request, unit, HEADERS.get())
        return response

    return method

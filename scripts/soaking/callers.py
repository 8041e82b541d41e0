"""Ways to call Tandem that keep a ledger: the public client's, and REST through whichever gateway answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar, cast

import aiohttp
import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from soaking.ledger import Json, Ledger, Tell
from tandem_client import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StaleLease,
    TandemError,
    Unavailable,
    Unknown,
)
from tandem_client.caller import Caller
from tandem_client.customers import Customers
from tandem_client.erp import Erp
from tandem_client.imports import Imports
from tandem_client.orders import Orders
from tandem_client.tandem import REQUEST_BYTES
from tandem_proto.channel import dial
from tandem_proto.json.encoding import encoder

Req = TypeVar("Req")
Res = TypeVar("Res")
T = TypeVar("T")

CALL_SECONDS = 8.0
UNKNOWN = (Unavailable, DeadlineExceeded, Aborted, Cancelled)
"""What a call may end as for no fault of its own: then nobody knows what was done, and it is asked again."""

REPEATED = {"ABORTED", "IDEMPOTENCY_KEY_IN_USE"}
"""Reasons of a 409 that goes by itself: of a key, its first call is still under way."""

BY_STATUS: dict[int, type[TandemError]] = {
    400: InvalidArgument,
    404: NotFound,
    409: FailedPrecondition,
    429: ResourceExhausted,
    499: Cancelled,
    500: Internal,
    503: Unavailable,
    504: DeadlineExceeded,
}


async def insist(step: Callable[[], Awaitable[T]]) -> T:
    """Repeat *step* until it is known what became of it; raises what a repetition would not mend."""
    while True:
        try:
            return await step()
        except StaleLease:
            raise
        except UNKNOWN as error:
            await asyncio.sleep(max(error.retry_after or 0, 0.2) * random.uniform(1, 1.5))


class KeptCaller(Caller):
    """A caller of the client's that notes what it asks and is told; one that is `dead` says and hears nothing more."""

    def __init__(self, target: str, key: str, ledger: Ledger, who: str) -> None:
        super().__init__(dial(target, REQUEST_BYTES), key, CALL_SECONDS)
        self._ledger, self.who = ledger, who
        self.dead = False

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Req, Res],
        request: Req,
        *,
        waits: float = 0,
        idempotency_key: str = "",
    ) -> Res:
        """Make a call."""
        with self._noted(request) as tell:
            if self.dead:
                await asyncio.Event().wait()
            reply = await super().unary(method, request, waits=waits, idempotency_key=idempotency_key)
            tell(as_json(reply))
            return reply

    @asynccontextmanager
    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Req, Res], request: Req
    ) -> AsyncIterator[AsyncIterator[Res]]:
        """Open a stream."""
        with self._noted(request) as tell:
            async with super().stream(method, request) as messages:
                yield _told(messages, tell)

    def _noted(self, request: object) -> AbstractContextManager[Tell]:
        method = type(request).__name__.removesuffix("Request")
        return self._ledger.call(self.who, method, as_json(request))


async def _told(messages: AsyncIterator[Res], tell: Tell) -> AsyncIterator[Res]:
    async for message in messages:
        tell(as_json(message))
        yield message


def as_json(message: object) -> Json:
    """Return *message* as the contract's JSON has it."""
    assert isinstance(message, Message)
    return encoder(cast("Descriptor", message.DESCRIPTOR))(message)


class Client:
    """The parts of the public client on a caller that keeps a ledger."""

    def __init__(self, target: str, key: str, ledger: Ledger, who: str) -> None:
        self.caller = KeptCaller(target, key, ledger, who)
        self.orders, self.erp = Orders(self.caller), Erp(self.caller)
        self.customers = Customers(self.caller, Imports(self.caller))

    async def close(self) -> None:
        """Close the connections."""
        await self.caller.channel.close()


class Rest:
    """Calls over REST, each to any gateway of *addresses*."""

    def __init__(self, session: aiohttp.ClientSession, addresses: Sequence[str], key: str, ledger: Ledger) -> None:
        self._session, self._addresses, self._ledger = session, addresses, ledger
        self._headers = {"authorization": f"Bearer {key}"} if key else {}

    async def ask(self, method: str, verb: str, path: str, *, request: Json, field: str = "", **how: Any) -> Json:
        """Send *request* as *how* says, note it as a call of *method*, and return the reply, or it as a *field*."""
        with self._ledger.call("rest", method, request) as tell:
            reply = await self._sent(verb, path, **how)
            reply = {field: reply} if field else reply
            tell(reply)
            return reply

    async def _sent(self, verb: str, path: str, *, headers: dict[str, str] | None = None, **how: Any) -> Json:
        url = f"http://{random.choice(self._addresses)}{path}"
        try:
            async with self._session.request(verb, url, headers=self._headers | (headers or {}), **how) as reply:
                told: Json = await reply.json(content_type=None)
                if reply.status >= 300:
                    raise _failure(reply.status, told)
                return told
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"no reply: {type(error).__name__}", reason="NO_REPLY") from error


def _failure(status: int, told: Json) -> TandemError:
    kind = Aborted if told["reason"] in REPEATED else BY_STATUS.get(status, Unknown)
    return kind(told["detail"], reason=told["reason"])

"""How every call leaves this client, and how its failure comes back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import grpc

from tandem_proto.catalogue import Method, methods
from tandem_proto.errors import DeadlineExceeded
from tandem_proto.status import METADATA_KEY, from_status
from tandem_proto.tracing import Outgoing, calling

Req = TypeVar("Req")
Res = TypeVar("Res")

METHODS: dict[type[object], Method] = {method.request: method for method in methods()}
"""Every method, by its requests, which no other method has."""


class Caller:
    """Makes the calls: says who calls, sets a deadline, and raises what went wrong as a TandemError."""

    def __init__(self, channel: grpc.aio.Channel, key: str, timeout: float) -> None:
        self.channel = channel
        self._authorization = ("authorization", f"Bearer {key}")
        self._timeout = timeout

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Req, Res],
        request: Req,
        *,
        waits: float = 0,
        idempotency_key: str = "",
    ) -> Res:
        """Return the response to *request*; a call that *waits* on purpose has as many seconds more.

        All attempts of a call that needs an idempotency key carry the same, of the caller's choice or a new one.
        """
        called, request_id = METHODS[type(request)], str(uuid.uuid4())
        if called.needs_key:
            idempotency_key = idempotency_key or str(uuid.uuid4())
        with translated(request_id), calling(called.path) as call:
            metadata = self._metadata(request_id, call, idempotency_key)
            return await method(request, metadata=metadata, timeout=self._timeout + waits)

    @asynccontextmanager
    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Req, Res], request: Req
    ) -> AsyncIterator[AsyncIterator[Res]]:
        """Open a stream of responses, for as long as the context lasts."""
        request_id = str(uuid.uuid4())
        with translated(request_id), calling(METHODS[type(request)].path) as call:
            running = method(request, metadata=self._metadata(request_id, call))
            try:
                yield aiter(running)
            finally:
                if running.cancel():  # the server goes on sending to those who merely stop reading
                    call.code = "CANCELLED"

    async def upload(
        self, method: grpc.aio.StreamUnaryMultiCallable[Req, Res], kind: type[Req], requests: AsyncIterator[Req]
    ) -> Res:
        """Send *requests*, all of one *kind*, and return the response, which may come before the last of them.

        Raises DeadlineExceeded where the server takes nothing, or says nothing, for as long as a call may take.
        """
        request_id = str(uuid.uuid4())
        with translated(request_id), calling(METHODS[kind].path) as call:
            running = method(metadata=self._metadata(request_id, call))
            try:
                await self._send(running, requests)
                async with asyncio.timeout(self._timeout):
                    return await running
            except TimeoutError:
                raise DeadlineExceeded(f"the server took nothing, or said nothing, for {self._timeout:g} s") from None
            finally:
                running.cancel()  # an upload that is not ended is not whole

    async def _send(self, call: grpc.aio.StreamUnaryCall[Req, Res], requests: AsyncIterator[Req]) -> None:
        try:
            async for request in requests:
                async with asyncio.timeout(self._timeout):
                    await call.write(request)
            await call.done_writing()
        except asyncio.InvalidStateError:
            return  # the call is at its end already, and says why

    def _metadata(self, request_id: str, call: Outgoing, idempotency_key: str = "") -> grpc.aio.Metadata:
        key = {"idempotency-key": idempotency_key} if idempotency_key else {}
        own = {"x-request-id": request_id, **key, **call.metadata}
        return grpc.aio.Metadata(self._authorization, *own.items())


@contextmanager
def translated(request_id: str) -> Iterator[None]:
    """Raise a failed call as the TandemError that the server meant, noting the id that finds it in the server's log."""
    try:
        yield
    except grpc.aio.AioRpcError as failure:
        details = (failure.trailing_metadata() or grpc.aio.Metadata()).get(METADATA_KEY)
        error = from_status(
            failure.code().name, failure.details() or "", details if isinstance(details, bytes) else None
        )
        error.add_note(f"request id: {request_id}")
        raise error from failure

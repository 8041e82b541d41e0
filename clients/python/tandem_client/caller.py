"""How every call leaves this client, and how its failure comes back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import grpc

from tandem_proto.catalogue import methods
from tandem_proto.status import METADATA_KEY, from_status

Req = TypeVar("Req")
Res = TypeVar("Res")

KEYED = frozenset(method.request for method in methods() if method.needs_key)
"""Requests that need an idempotency key, since gRPC repeats their calls."""


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
        request_id = str(uuid.uuid4())
        metadata = self._metadata(request_id)
        if idempotency_key or type(request) in KEYED:
            metadata.add("idempotency-key", idempotency_key or str(uuid.uuid4()))
        with translated(request_id):
            return await method(request, metadata=metadata, timeout=self._timeout + waits)

    @asynccontextmanager
    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Req, Res], request: Req
    ) -> AsyncIterator[AsyncIterator[Res]]:
        """Open a stream of responses, for as long as the context lasts."""
        request_id = str(uuid.uuid4())
        call = method(request, metadata=self._metadata(request_id))
        try:
            with translated(request_id):
                yield aiter(call)
        finally:
            call.cancel()  # the server goes on sending to those who merely stop reading

    def _metadata(self, request_id: str) -> grpc.aio.Metadata:
        return grpc.aio.Metadata(self._authorization, ("x-request-id", request_id))


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

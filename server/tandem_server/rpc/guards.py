"""What surrounds every call, of any kind.

telemetry ▸ errors ▸ deadline ▸ authentication ▸ limits ▸ validation ▸ idempotency
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from tandem_proto import tracing
from tandem_proto.catalogue import methods
from tandem_proto.errors import Internal, TandemError
from tandem_proto.status import METADATA_KEY, short_message, to_status
from tandem_server.domain.principals import Caller
from tandem_server.rpc.authentication import Watch, authenticate, authorize, verify
from tandem_server.rpc.calls import CALLER, HEADERS, SLOT, Context
from tandem_server.rpc.deadlines import in_time, pushback
from tandem_server.rpc.idempotency import METADATA as IDEMPOTENCY_KEY
from tandem_server.rpc.idempotency import slot_of
from tandem_server.rpc.incoming import Call, Guard, sent_with
from tandem_server.rpc.limits import Limits
from tandem_server.rpc.telemetry import telemetry
from tandem_server.rpc.validation import validate
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.webhook_secrets import WebhookSecrets

OPEN_SERVICES = ("/grpc.health.v1.Health/",)
"""Services that need no key."""


@asynccontextmanager
async def errors(call: Call) -> AsyncIterator[None]:
    """End the call with the status of what it raised; of an unexpected exception only an id reaches the caller."""
    try:
        yield
    except TandemError as error:
        await _abort(call, error)
    except grpc.aio.BaseError:
        raise
    except Exception as error:  # noqa: BLE001 - the telemetry guard logs it
        call.crash, call.error_id = error, uuid.uuid4().hex
        await _abort(call, Internal(f"internal error {call.error_id}", metadata={"error_id": call.error_id}))


async def _abort(call: Call, error: TandemError) -> None:
    call.code, call.reason = error.code, error.reason
    details = to_status(error).SerializeToString()
    sent = ((METADATA_KEY, details), *pushback(call.context, error), *call.trailing)
    await call.context.abort(grpc.StatusCode[error.code], short_message(error), sent)


def authentication(keys: KeyRing, secrets: WebhookSecrets) -> Guard:
    """Return the guard that finds out who calls, by a key or a signature, and whether the contract lets them."""

    @asynccontextmanager
    async def guard(call: Call) -> AsyncIterator[None]:
        signed = call.method is not None and call.method.signed
        if signed:
            call.parse()  # the signature is in the message
        principal = (
            verify(secrets, call.request) if signed else await authenticate(keys, call.metadata("authorization"))
        )
        call.principal = principal.name
        authorize(principal, call.method.required_scope if call.method else "")
        CALLER.set(Caller(principal, call.request_id, tracing.traceparent()))
        yield

    return guard


@asynccontextmanager
async def validation(call: Call) -> AsyncIterator[None]:
    """Refuse a request that breaks the contract's rules; requests of a stream are checked as they come."""
    if call.method is not None and not call.method.descriptor.client_streaming:
        call.parse()
        validate(call.request)
    yield


@asynccontextmanager
async def idempotency(call: Call) -> AsyncIterator[None]:
    """Note where the reply to a unary write is kept whose caller sent an idempotency key."""
    key = call.metadata(IDEMPOTENCY_KEY)
    if key is not None and call.method is not None and call.method.unary and not call.method.safe:
        SLOT.set(slot_of(key, call.method, CALLER.get().principal.party))
    yield


def deadline(most_seconds: float) -> Guard:
    """Return the guard that ends unary calls in time, as `in_time` does."""

    @asynccontextmanager
    async def guard(call: Call) -> AsyncIterator[None]:
        if not call.unary:
            yield
            return
        async with in_time(call.context, lambda: call.request, most_seconds):
            yield

    return guard


def limited(limits: Limits) -> Guard:
    """Return the guard that keeps every principal within *limits*."""

    @asynccontextmanager
    async def guard(call: Call) -> AsyncIterator[None]:
        principal = CALLER.get().principal
        call.share = limits.share(principal.key_id or principal.name)
        with call.share.admit(streaming=not call.unary):
            yield

    return guard


class Guarded(grpc.aio.ServerInterceptor):
    """Runs every call inside the guards; callers are known by their *keys*, or by what they sign with *secrets*.

    *limits* are those of a principal, *call_seconds* is the longest that a unary call may take.
    """

    def __init__(self, keys: KeyRing, secrets: WebhookSecrets, limits: Limits, call_seconds: float) -> None:
        self._keys = keys
        before = telemetry, errors, deadline(call_seconds), authentication(keys, secrets), limited(limits)
        self._guards: tuple[Guard, ...] = (*before, validation, idempotency)
        self._methods = {method.path: method for method in methods()}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of a call, wrapped; see grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        path = str(handler_call_details.method)
        if handler is None or path.startswith(OPEN_SERVICES):
            return handler
        wrap = self._streaming if handler.response_streaming else self._unary
        return _rewrapped(handler, lambda body: wrap(path, body, upload=handler.request_streaming))

    def _unary(self, path: str, body: Any, *, upload: bool) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            call = self._call(path, request, context)
            async with AsyncExitStack() as stack:
                for guard in self._guards:
                    await stack.enter_async_context(guard(call))
                replying = body(call.request, context)
                response = await (self._watch(call).over(replying) if upload else replying)
                context.set_trailing_metadata(call.trailing)
                return response

        return guarded

    def _streaming(self, path: str, body: Any, **_: bool) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            call = self._call(path, request, context)
            async with AsyncExitStack() as stack:
                for guard in self._guards:
                    await stack.enter_async_context(guard(call))
                async for response in self._watch(call).over_each(body(call.request, context)):
                    await call.send_headers()
                    yield response

        return guarded

    def _call(self, path: str, request: Any, context: Context) -> Call:
        call = Call(path, self._methods.get(path), request, context, sent_with(context))
        HEADERS.set(call.headers)
        return call

    def _watch(self, call: Call) -> Watch:
        return Watch(self._keys, call.metadata("authorization"))


def _rewrapped(handler: Any, wrap: Callable[[Any], Any]) -> Any:
    sides = {True: "stream", False: "unary"}
    kind = f"{sides[handler.request_streaming]}_{sides[handler.response_streaming]}"
    factory = getattr(grpc, f"{kind}_rpc_method_handler")
    # A single request is parsed by the guards: nobody's bytes cost anything before it is known whose they are.
    deserializer = handler.request_deserializer if handler.request_streaming else None
    return factory(wrap(getattr(handler, kind)), deserializer, handler.response_serializer)

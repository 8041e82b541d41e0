"""What surrounds every call, of any kind: telemetry ▸ errors ▸ authentication ▸ limits ▸ validation ▸ idempotency."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from tandem_proto.catalogue import Method, methods
from tandem_proto.errors import DeadlineExceeded, Internal, TandemError
from tandem_proto.status import METADATA_KEY, short_message, to_status
from tandem_server.domain.principals import Caller
from tandem_server.rpc.authentication import Watch, authenticate, authorize, verify
from tandem_server.rpc.calls import CALLER, HEADERS, HTTP_HEADER, SLOT, Context
from tandem_server.rpc.idempotency import METADATA as IDEMPOTENCY_KEY
from tandem_server.rpc.idempotency import slot_of
from tandem_server.rpc.limits import Limits, Share
from tandem_server.rpc.validation import parsed, validate
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.webhook_secrets import WebhookSecrets

log = logging.getLogger("tandem.calls")

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""What W3C Trace Context calls valid; anything else is as good as none."""

PUSHBACK = "grpc-retry-pushback-ms"
"""When a client of gRPC is to repeat a call (gRFC A6), which does not read RetryInfo."""

OPEN_SERVICES = ("/grpc.health.v1.Health/",)
"""Services that need no key."""


@dataclass
class Call:
    """One call on its way through the guards; `code` is what the caller sees at its end.

    `headers` is what the method has its reply say; `share` what the caller has of this process, once that is known.
    """

    path: str
    method: Method | None
    request: Any
    context: Context
    request_id: str
    code: str = "OK"
    headers: dict[str, str] = field(default_factory=dict)
    share: Share | None = None

    def parse(self) -> None:
        """Make a message of the request's bytes, once. Raises InvalidArgument where they are none."""
        if self.method is not None and isinstance(self.request, bytes):
            self.request = parsed(self.method, self.request)

    @property
    def trailing(self) -> tuple[tuple[str, str], ...]:
        """The metadata that ends the call."""
        limits = self.share.headers.items() if self.share else ()
        return (*self.headers.items(), *((f"{HTTP_HEADER}{name}", value) for name, value in limits))

    def metadata(self, name: str) -> str | None:
        """Return the value that the caller sent under *name*, None where there is none."""
        value = dict(self.context.invocation_metadata() or ()).get(name)
        return value if isinstance(value, str) else None

    async def send_headers(self) -> None:
        """Send `headers`, if there are any, ahead of the first response of a stream."""
        if self.headers:
            await self.context.send_initial_metadata(tuple(self.headers.items()))
            self.headers.clear()


Guard = Callable[[Call], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def telemetry(call: Call) -> AsyncIterator[None]:
    """Log one line a call, with the code that the caller saw."""
    started = time.perf_counter()
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        call.code = "CANCELLED"
        raise
    finally:
        milliseconds = (time.perf_counter() - started) * 1000
        log.info("%s %s %.1f ms request_id=%s", call.path, call.code, milliseconds, call.request_id)


@asynccontextmanager
async def errors(call: Call) -> AsyncIterator[None]:
    """End the call with the status of what it raised; of an unexpected exception only an id reaches the caller."""
    try:
        yield
    except TandemError as error:
        await _abort(call, error)
    except grpc.aio.BaseError:
        raise
    except Exception:
        error_id = uuid.uuid4().hex
        log.exception("%s failed, error_id=%s request_id=%s", call.path, error_id, call.request_id)
        await _abort(call, Internal(f"internal error {error_id}", metadata={"error_id": error_id}))


async def _abort(call: Call, error: TandemError) -> None:
    call.code = error.code
    details = to_status(error).SerializeToString()
    pushback = {} if error.retry_after is None else {PUSHBACK: str(round(error.retry_after * 1000))}
    sent = ((METADATA_KEY, details), *pushback.items(), *call.trailing)
    await call.context.abort(grpc.StatusCode[error.code], short_message(error), sent)


def authentication(keys: KeyRing, secrets: WebhookSecrets) -> Guard:
    """Return the guard that finds out who calls, by a key or a signature, and whether the contract lets them."""

    @asynccontextmanager
    async def guard(call: Call) -> AsyncIterator[None]:
        if call.method is not None and call.method.signed:
            call.parse()  # the signature is in the message
            principal = verify(secrets, call.request)
        else:
            principal = await authenticate(keys, call.metadata("authorization"))
            authorize(principal, call.method.required_scope if call.method else "")
        traceparent = call.metadata("traceparent") or ""
        CALLER.set(Caller(principal, call.request_id, traceparent if TRACEPARENT.fullmatch(traceparent) else ""))
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


def limited(limits: Limits, call_seconds: float) -> Guard:
    """Return the guard that keeps every principal within *limits*, and a unary call within *call_seconds*."""

    @asynccontextmanager
    async def guard(call: Call) -> AsyncIterator[None]:
        streaming = call.method is None or not call.method.unary
        principal = CALLER.get().principal
        call.share = limits.share(principal.key_id or principal.name)
        with call.share.admit(streaming=streaming):
            try:
                async with asyncio.timeout(None if streaming else call_seconds):
                    yield
            except TimeoutError as error:
                raise DeadlineExceeded(f"the call took longer than {call_seconds:g} s: outcome unknown") from error

    return guard


class Guarded(grpc.aio.ServerInterceptor):
    """Runs every call inside the guards; callers are known by their *keys*, or by what they sign with *secrets*.

    *limits* and *call_seconds* are as in `limited`.
    """

    def __init__(self, keys: KeyRing, secrets: WebhookSecrets, limits: Limits, call_seconds: float) -> None:
        self._keys = keys
        before = telemetry, errors, authentication(keys, secrets), limited(limits, call_seconds)
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
        call = Call(path, self._methods.get(path), request, context, request_id="")
        call.request_id = (call.metadata("x-request-id") or "")[:200] or uuid.uuid4().hex
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

"""What is told of every call, once, at its end and with the code that its caller saw: span, measurement, log line."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import copy_context

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind

from tandem_proto import logs, tracing
from tandem_server.instruments import CALL_SECONDS, OPEN_STREAMS
from tandem_server.rpc.incoming import Call

log = logging.getLogger("tandem.calls")

LEVELS = {
    "INTERNAL": logging.ERROR,
    "UNKNOWN": logging.ERROR,
    "DATA_LOSS": logging.ERROR,
    "UNAVAILABLE": logging.WARNING,
}
"""How loud a code is told; the others are answers."""


@asynccontextmanager
async def telemetry(call: Call) -> AsyncIterator[None]:
    """Trace, measure and log the call."""
    started, patience = time.perf_counter(), call.context.time_remaining()
    method = tracing.of_method(call.path)
    attributes = method | {tracing.REQUEST_ID: call.request_id}
    span = tracing.TRACER.start_span(call.path[1:], tracing.brought_by(call.sent), SpanKind.SERVER, attributes)
    # Both for good: a call has a task of its own.
    context.attach(trace.set_span_in_context(span))
    logs.REQUEST_ID.set(call.request_id)
    here = copy_context()  # a stream may end in another task
    try:
        with nullcontext() if call.method is None or call.method.unary else _open(method):
            yield
    except (asyncio.CancelledError, GeneratorExit):
        call.code = _cut_off(call, patience)
        raise
    finally:
        here.run(_tell, call, span, time.perf_counter() - started)


@contextmanager
def _open(method: dict[str, str]) -> Iterator[None]:
    OPEN_STREAMS.add(1, method)
    try:
        yield
    finally:
        OPEN_STREAMS.add(-1, method)


def _cut_off(call: Call, patience: float | None) -> str:
    """Return the code that a caller saw whose call was cut off after *patience* seconds or before.

    The caller's clock began to run before ours, and grpc-timeout has three digits: an end close to the deadline is it.
    """
    remaining = call.context.time_remaining()
    if patience is None or remaining is None or remaining > 0.02 + patience / 100:
        return "CANCELLED"
    return "DEADLINE_EXCEEDED"


def _tell(call: Call, span: Span, seconds: float) -> None:
    CALL_SECONDS.record(seconds, tracing.of_method(call.path) | {"rpc.response.status_code": call.code})
    _log(call, seconds)
    tracing.end(span, call.code, fault=call.code in tracing.SERVER_FAULTS)


def _log(call: Call, seconds: float) -> None:
    facts = {
        "method": call.path[1:],
        "code": call.code,
        "reason": call.reason,
        "principal": call.principal,
        "milliseconds": round(seconds * 1000, 1),
        "error_id": call.error_id,
    }
    told = {name: value for name, value in facts.items() if value}
    log.log(LEVELS.get(call.code, logging.INFO), "call", extra=told, exc_info=call.crash)

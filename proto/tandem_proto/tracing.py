"""Traces, by OpenTelemetry's semantic conventions for RPC. Where no SDK is set up, spans are none and cost nothing.

A span gets its status once, at its end, from the code that the caller saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACER = trace.get_tracer("tandem")
W3C = TraceContextTextMapPropagator()

REQUEST_ID = "tandem.request_id"
"""The attribute that finds a request's spans by the id that its reply and the logs have."""

SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are the server's fault, as the conventions have it; the others are a server's answers."""

LINKS = 128
"""Links of one span at most, which is what an SDK keeps."""


def of_method(path: str) -> dict[str, str]:
    """Return what spans and measurements of a call to *path* ("/package.Service/Method") say of it."""
    return {"rpc.system.name": "grpc", "rpc.method": path[1:]}


def brought_by(carrier: Mapping[str, str]) -> Context:
    """Return the trace that *carrier*, headers or metadata by lower-case names, brings along, if it does."""
    return W3C.extract(carrier)


def traceparent() -> str:
    """Return the current span as of W3C Trace Context, empty where there is none."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier.get("traceparent", "")


def end(span: Span, code: str, *, fault: bool) -> None:
    """End the span of a call that ended with *code*."""
    span.set_attribute("rpc.response.status_code", code)
    if fault:
        span.set_attribute("error.type", code)
        span.set_status(StatusCode.ERROR)
    span.end()


def fail(span: Span, error: BaseException) -> None:
    """Say that what *span* is of failed: by which kind of error, whose words may hold what somebody typed."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)


@contextmanager
def working(name: str, attributes: Mapping[str, str]) -> Iterator[None]:
    """Make a span of what is done in the context, and make it current."""
    with TRACER.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except BaseException as error:
            fail(span, error)
            raise


def leaf(name: str, attributes: tuple[tuple[str, str], ...], started: int, error: BaseException | None = None) -> None:
    """Make a span of a call to somebody else that began at *started*, by `time.time_ns`, and is over.

    As nothing happens inside such a span, it need never be current, and takes a fraction of the time of others.
    """
    if tell := getattr(trace.get_tracer_provider(), "leaf", None):
        tell(name, attributes, started, "" if error is None else type(error).__qualname__)


def link(traceparents: Iterable[str]) -> None:
    """Link the current span to the traces that *traceparents* name: what it works on came by them."""
    span = trace.get_current_span()
    if span.is_recording():
        for each in sorted(set(traceparents))[:LINKS]:
            span.add_link(trace.get_current_span(brought_by({"traceparent": each})).get_span_context())


@dataclass
class Outgoing:
    """A call that leaves; *metadata* makes the server's span a child of the caller's, *code* is how it ends."""

    metadata: Mapping[str, str]
    code: str = "OK"


@contextmanager
def calling(path: str) -> Iterator[Outgoing]:
    """Trace a call to *path* as a client, for as long as the context lasts.

    Nothing is made current, so the context may be that of a stream, which is left wherever it happens to end.
    """
    span = TRACER.start_span(path[1:], kind=SpanKind.CLIENT, attributes=of_method(path))
    metadata: dict[str, str] = {}
    W3C.inject(metadata, trace.set_span_in_context(span))
    call = Outgoing(metadata)
    try:
        yield call
    except grpc.aio.AioRpcError as error:
        call.code = error.code().name
        raise
    except BaseException:
        call.code = "CANCELLED"
        raise
    finally:
        end(span, call.code, fault=call.code != "OK")

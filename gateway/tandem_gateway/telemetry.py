"""What is told of every request, once, at its end: a span, a measurement and a line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from tandem_proto import logs, tracing
from tandem_proto.measuring import seconds

access = logging.getLogger("tandem.gateway.access")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are told by their name; the others are `_OTHER`, as HTTP lets callers make up any."""

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that machines ask for all day: nothing is told of them but what nobody foresaw."""

SECONDS = seconds("http.server.request.duration", "How long requests took, by route and status.")

LEFT = 499
"""The status of a request whose caller left before its reply; it is no standard's."""


@dataclass
class Request:
    """One request, as it is told of. Paths are named by their template: what stands in them may be personal."""

    method: str
    route: str = ""
    status: int = LEFT
    reason: str = ""

    @property
    def attributes(self) -> dict[str, str | int]:
        """What every span and measurement says of it, by OpenTelemetry's semantic conventions for HTTP."""
        route = {"http.route": self.route} if self.route else {}
        return {"http.request.method": self.method, "http.response.status_code": self.status, **route}


@contextmanager
def telling(method: str, path: str, headers: Mapping[str, str], request_id: str) -> Iterator[Request]:
    """Trace, measure and log a request for as long as the context lasts."""
    started = time.perf_counter()
    request = Request(method if method in METHODS else "_OTHER")
    span = trace.INVALID_SPAN if path in QUIET else _start(request, headers, request_id)
    # Both for good: a request has a task of its own.
    context.attach(trace.set_span_in_context(span))
    logs.REQUEST_ID.set(request_id)
    try:
        yield request
    finally:
        if path not in QUIET or request.status == 500:
            _log(request, time.perf_counter() - started)
        if path not in QUIET:
            SECONDS.record(time.perf_counter() - started, request.attributes)
        _end(span, request)


def _start(request: Request, headers: Mapping[str, str], request_id: str) -> Span:
    parent = tracing.brought_by({name: headers[name] for name in tracing.W3C.fields if name in headers})
    return tracing.TRACER.start_span(request.method, parent, SpanKind.SERVER, {tracing.REQUEST_ID: request_id})


def _end(span: Span, request: Request) -> None:
    span.update_name(f"{request.method} {request.route}".rstrip())
    span.set_attributes({**request.attributes, "url.scheme": "http"})
    if request.status >= 500:
        span.set_attribute("error.type", str(request.status))
        span.set_status(StatusCode.ERROR)
    span.end()


def _log(request: Request, duration: float) -> None:
    level = logging.ERROR if request.status == 500 else logging.WARNING if request.status > 500 else logging.INFO
    told = vars(request) | {"milliseconds": round(duration * 1000, 1)}
    access.log(level, "request", extra={name: value for name, value in told.items() if value})

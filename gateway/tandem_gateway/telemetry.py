"""What is told of every request, once, at its end: a span and a line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from tandem_proto import logs, tracing

access = logging.getLogger("tandem.gateway.access")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are told by their name; the others are `_OTHER`, as HTTP lets callers make up any."""

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
def telling(method: str, headers: Mapping[str, str], request_id: str) -> Iterator[Request]:
    """Trace and log a request for as long as the context lasts."""
    started = time.perf_counter()
    request = Request(method if method in METHODS else "_OTHER")
    parent = tracing.brought_by({name: headers[name] for name in tracing.W3C.fields if name in headers})
    span = tracing.TRACER.start_span(request.method, parent, SpanKind.SERVER, {tracing.REQUEST_ID: request_id})
    # Both for good: a request has a task of its own.
    context.attach(trace.set_span_in_context(span))
    logs.REQUEST_ID.set(request_id)
    try:
        yield request
    finally:
        _end(span, request)
        _log(request, time.perf_counter() - started)


def _end(span: Span, request: Request) -> None:
    span.update_name(f"{request.method} {request.route}".rstrip())
    span.set_attributes({**request.attributes, "url.scheme": "http"})
    if request.status >= 500:
        span.set_attribute("error.type", str(request.status))
        span.set_status(StatusCode.ERROR)
    span.end()


def _log(request: Request, seconds: float) -> None:
    level = logging.ERROR if request.status == 500 else logging.WARNING if request.status > 500 else logging.INFO
    told = vars(request) | {"milliseconds": round(seconds * 1000, 1)}
    access.log(level, "request", extra={name: value for name, value in told.items() if value})

"""Spans that cost their calls little: each only notes what it is told, and is made where it is handed over.

The SDK's own take three times as long, and all of it where somebody waits. Sampling, ids, limits, batches and what is
sent stay the SDK's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

SCOPE = InstrumentationScope("tandem")
UNSET, FAILED = Status(), Status(StatusCode.ERROR)


class Noted(NonRecordingSpan):
    """A span as notes; of events it keeps none, since nobody here makes any. *ended* takes it at its end."""

    def __init__(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Mapping[str, Any] | Iterable[tuple[str, Any]],
        ended: Callable[[Noted], None],
        started: int | None = None,
    ) -> None:
        super().__init__(context)
        self.context, self.name, self.attributes, self.status = context, name, dict(attributes), UNSET
        self._parent, self._kind, self._ended = parent, kind, ended
        self._links: list[Link] = []
        self._start, self._end = started or time.time_ns(), 0

    def is_recording(self) -> bool:
        """Tell whether it has not ended."""
        return not self._end

    def set_attribute(self, key: str, value: Any) -> None:
        """Note one attribute."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Note attributes."""
        self.attributes.update(attributes)

    def update_name(self, name: str) -> None:
        """Note another name."""
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Note how it ended."""
        self.status = status if isinstance(status, Status) else Status(status, description)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Note a link, if it leads anywhere."""
        if context.is_valid:
            self._links.append(Link(context, attributes))

    def end(self, end_time: int | None = None) -> None:
        """Hand it over, once."""
        if not self._end:
            self._end = end_time or time.time_ns()
            self._ended(self)

    def made(self, resource: Resource, limits: SpanLimits) -> ReadableSpan:
        """Return it as exporters take it, cut to *limits*."""
        attributes = BoundedAttributes(
            limits.max_span_attributes, self.attributes, max_value_len=limits.max_span_attribute_length
        )
        return ReadableSpan(
            self.name,
            self.context,
            self._parent,
            resource,
            attributes,
            links=BoundedList.from_seq(limits.max_links, self._links),
            kind=self._kind,
            status=self.status,
            start_time=self._start,
            end_time=self._end,
            instrumentation_scope=SCOPE,
        )


class Tracer(trace.Tracer):
    """Makes spans by the sampler and the ids of *provider*, and hands them to *ended*."""

    def __init__(self, provider: TracerProvider, ended: Callable[[Noted], None]) -> None:
        self._sampler, self._ids, self._ended = provider.sampler, provider.id_generator, ended

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        *_args: Any,
        **_kwargs: Any,
    ) -> Span:
        """Start a span, below the current one of *context*; one that the sampler does not want records nothing."""
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        parent = parent if parent is not None and parent.is_valid else None
        trace_id = parent.trace_id if parent else self._ids.generate_trace_id()
        sampled = self._sampler.should_sample(context, trace_id, name, kind, attributes, links)
        random = parent.trace_flags.random_trace_id if parent else self._ids.is_trace_id_random()
        flags = TraceFlags(
            (TraceFlags.SAMPLED if sampled.decision is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)
            | (TraceFlags.RANDOM_TRACE_ID if random else TraceFlags.DEFAULT)
        )
        own = SpanContext(trace_id, self._ids.generate_span_id(), False, flags, sampled.trace_state)
        if sampled.decision is Decision.DROP:
            return NonRecordingSpan(own)
        span = Noted(name, own, parent, kind, sampled.attributes or {}, self._ended, start_time)
        for link in links or ():
            span.add_link(link.context, link.attributes)
        return span

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # the SDK's makes decorators, too
        self, name: str, *args: Any, **kwargs: Any
    ) -> Iterator[Span]:
        """Start a span, and make it current until its end; what is raised is the caller's to tell of."""
        with trace.use_span(
            self.start_span(name, *args, **kwargs),
            end_on_exit=True,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    def leaf(self, name: str, attributes: Iterable[tuple[str, str]], started: int, fault: str) -> None:
        """See `tracing.leaf`; *fault* is the error's kind, or empty."""
        parent = trace.get_current_span().get_span_context()
        own = SpanContext(parent.trace_id, self._ids.generate_span_id(), False, parent.trace_flags, parent.trace_state)
        span = Noted(name, own, parent, SpanKind.CLIENT, attributes, self._ended, started)
        if fault:
            span.set_attribute("error.type", fault)
            span.set_status(FAILED)
        span.end()

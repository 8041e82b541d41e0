"""REST requests as gRPC calls: one endpoint a binding, all of them made from the catalogue."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import grpc
from aiohttp import web
from google.protobuf.message import Message

from tandem_gateway.body import Bodies
from tandem_gateway.forwarding import REQUEST_ID, Metadata, to_headers, with_key
from tandem_gateway.settings import Settings
from tandem_gateway.transcoding.negotiation import takes_gzip
from tandem_gateway.transcoding.request import Incoming, RequestReader
from tandem_gateway.transcoding.response import ResponseWriter
from tandem_gateway.transcoding.routes import Route
from tandem_gateway.transcoding.template import Template
from tandem_gateway.uploads import pieces, send
from tandem_proto.catalogue import Method, methods
from tandem_proto.tracing import calling


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request on its way: its raw path and query, the path's variables, and what its call carries on."""

    http: web.BaseRequest
    path: str
    query: str
    variables: Mapping[str, str]
    request_id: str
    metadata: Metadata


_RESET = struct.pack("ii", 1, 0)  # linger for no time at all

Answer = Callable[[Exchange], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a route; `body` is the request's field that the HTTP body is, as error replies need it."""

    answer: Answer
    body: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP binding of one method, ready to call."""

    method: Method
    reader: RequestReader
    writer: ResponseWriter
    bodies: Bodies
    settings: Settings

    def first(self, exchange: Exchange) -> Message:
        """Return the first message of an upload; raises InvalidArgument, and UnsupportedMediaType for its file."""
        headers = exchange.http.headers
        sent = headers.get("Content-Type", "")
        told = Incoming(exchange.variables, exchange.query, b"", headers.get("If-Match"), content_type=sent)
        return self.reader.read(told)

    @asynccontextmanager
    async def request(self, exchange: Exchange) -> AsyncIterator[Message]:
        """Give the request message; raises InvalidArgument and the errors of `Bodies.read_json`."""
        headers = exchange.http.headers
        async with self.bodies.read_json(exchange.http) as body:
            told = Incoming(exchange.variables, exchange.query, body, headers.get("If-Match"), headers.get("Accept"))
            yield self.reader.read(told)


def routes(channel: grpc.aio.Channel, bodies: Bodies, settings: Settings) -> Iterator[Route[Endpoint]]:
    """Return the routes of all methods but signed ones; raises ValueError or TypeError for a bad rule."""
    for method in methods():
        if method.signed:  # their raw bytes are what counts: see `webhooks`
            continue
        for rule in method.http:
            pattern = str(rule.WhichOneof("pattern"))
            verb, template = pattern.upper(), Template(getattr(rule, pattern))
            reader = RequestReader(method, rule, verb, template)
            binding = Binding(method, reader, ResponseWriter(method, rule), bodies, settings)
            yield Route(verb, template, Endpoint(_answer(channel, binding), str(rule.body)))


def _answer(channel: grpc.aio.Channel, binding: Binding) -> Answer:
    method = binding.method
    if method.descriptor.client_streaming:
        return _upload(channel, binding)
    return _unary(channel, binding) if method.unary else _stream(channel, binding)


def _unary(channel: grpc.aio.Channel, binding: Binding) -> Answer:
    method = binding.method
    call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

    async def answer(exchange: Exchange) -> web.StreamResponse:
        async with binding.request(exchange) as request:
            metadata = with_key(exchange.metadata, method)
            message, headers = await called(method, call, request, metadata, binding.settings.http_call_seconds)
        return binding.writer.response(message, exchange.path, headers)

    return answer


async def called(
    method: Method,
    call: grpc.aio.UnaryUnaryMultiCallable[Message, Message],
    request: Message,
    metadata: Metadata,
    seconds: float,
) -> tuple[Message, dict[str, str]]:
    """Make *call*, as a span of the request's trace; return the response and the headers that the reply is to have."""
    with calling(method.path) as traced:
        running = call(request, metadata=(*metadata, *traced.metadata.items()), timeout=seconds)
        message = await running
    return message, to_headers(await running.initial_metadata(), await running.trailing_metadata())


def _stream(channel: grpc.aio.Channel, binding: Binding) -> Answer:
    method = binding.method
    call = channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)

    async def answer(exchange: Exchange) -> web.StreamResponse:
        with ExitStack() as context:
            async with binding.request(exchange) as request:
                traced = context.enter_context(calling(method.path))
                running = call(request, metadata=(*exchange.metadata, *traced.metadata.items()))
            try:
                return await _passed_on(running, binding, exchange)
            finally:
                running.cancel()

    return answer


async def _passed_on(
    running: grpc.aio.UnaryStreamCall[Message, Message], binding: Binding, exchange: Exchange
) -> web.StreamResponse:
    message = await running.read()  # the status line waits for it: until here an error has a status of its own
    headers = to_headers(await running.initial_metadata()) | {REQUEST_ID: exchange.request_id}
    reply = web.StreamResponse(headers=headers | {"Content-Type": binding.writer.content_type(message)})
    has_body = exchange.http.method != "HEAD"
    if binding.writer.raw:
        reply.headers["Vary"] = "Accept, Accept-Encoding"
        if has_body and takes_gzip(exchange.http.headers.get("Accept-Encoding", "")):
            reply.enable_compression(web.ContentCoding.gzip)
    await reply.prepare(exchange.http)
    with _broken_unless_whole(exchange.http):
        while has_body and isinstance(message, Message):  # and not grpc.aio.EOF
            await reply.write(binding.writer.chunk(message))
            message = await running.read()
    return reply


def _upload(channel: grpc.aio.Channel, binding: Binding) -> Answer:
    method, settings = binding.method, binding.settings
    call = channel.stream_unary(method.path, method.request.SerializeToString, method.response.FromString)

    async def answer(exchange: Exchange) -> web.StreamResponse:
        first = binding.first(exchange)
        further = (binding.reader.piece(piece) async for piece in pieces(exchange.http, settings))
        with calling(method.path) as traced:
            running = call(metadata=(*exchange.metadata, *traced.metadata.items()))
            message = await send(running, first, further, settings.http_call_seconds)
        headers = to_headers(await running.initial_metadata(), await running.trailing_metadata())
        return binding.writer.response(message, exchange.path, headers)

    return answer


@contextmanager
def _broken_unless_whole(http: web.BaseRequest) -> Iterator[None]:
    """Break the connection if what is inside fails: a cut stream must not look whole (no last chunk, RFC 9112, 8).

    It is reset rather than closed, since that is all that a client of HTTP/1.0, which knows no chunks, can see.
    """
    whole = False
    try:
        yield
        whole = True
    finally:
        if not whole and http.transport is not None:
            http.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            http.transport.abort()

"""Webhooks: passed on as they came, since they are signed as they came; to the gateway their body is no JSON."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from aiohttp import web
from buf.validate import validate_pb2
from google.protobuf.message import Message

from tandem_gateway.body import Bodies
from tandem_gateway.calls import Endpoint, Exchange, called
from tandem_gateway.settings import Settings
from tandem_gateway.transcoding.response import ResponseWriter
from tandem_gateway.transcoding.routes import Route
from tandem_gateway.transcoding.template import Template
from tandem_proto.catalogue import Method, methods

SIGNED = {name: name.replace("_", "-") for name in ("webhook_id", "webhook_timestamp", "webhook_signature")}
"""The headers of Standard Webhooks, by the fields of a signed request that take them."""


def routes(channel: grpc.aio.Channel, bodies: Bodies, settings: Settings) -> Iterator[Route[Endpoint]]:
    """Return the routes of the methods whose requests are signed."""
    for method in methods():
        if method.signed:
            yield _route(channel, bodies, settings, method)


def _route(channel: grpc.aio.Channel, bodies: Bodies, settings: Settings, method: Method) -> Route[Endpoint]:
    (rule,) = method.http
    rules = method.request.DESCRIPTOR.fields_by_name[rule.body].GetOptions().Extensions[validate_pb2.field]
    limit = min(rules.bytes.max_len, settings.http_body_bytes)
    writer = ResponseWriter(method, rule)
    call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

    async def answer(exchange: Exchange) -> web.StreamResponse:
        async with bodies.read(exchange.http, limit) as body:
            request = _request(method, exchange, {rule.body: body})
            message, headers = await called(method, call, request, exchange.metadata, settings.http_call_seconds)
        return writer.response(message, exchange.path, headers)

    return Route("POST", Template(rule.post), Endpoint(answer, rule.body))


def _request(method: Method, exchange: Exchange, body: dict[str, bytes]) -> Message:
    headers = {field: _text(exchange.http.headers.get(header, "")) for field, header in SIGNED.items()}
    return method.request(**exchange.variables, **headers, **body)


def _text(header: str) -> str:
    """Return *header* as text that protobuf takes; what was not UTF-8 fits no signature any more."""
    return header.encode(errors="surrogateescape").decode(errors="replace")

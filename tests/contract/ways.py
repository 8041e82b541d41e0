"""Calls of a method made from the contract alone: over gRPC, and over each of its REST routes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any
from urllib.parse import quote

import aiohttp
import grpc
from google.api.field_behavior_pb2 import IMMUTABLE, field_behavior
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from contract.samples import fill, rules_of, valid
from tandem_proto.catalogue import Method

SECONDS = 20
VARIABLE = re.compile(r"{([a-z0-9_.]+)[^}]*}")


@dataclass
class Seen:
    """What a caller saw: the code's name over gRPC, the status over REST, and the reply or what was wrong."""

    code: str | int
    reply: str = ""

    def without(self, ids: Mapping[str, str]) -> Seen:
        """Return the same, whatever the *ids* were."""
        return Seen(self.code, reduce(lambda text, each: text.replace(each, "?"), ids.values(), self.reply))


async def by_grpc(channel: grpc.aio.Channel, method: Method, request: Message, key: str | None) -> Seen:
    """Call *method* with *request*, which `shaped` made; of a stream only the first reply counts."""
    sides = {True: "stream", False: "unary"}
    descriptor = method.descriptor
    kind = f"{sides[descriptor.client_streaming]}_{sides[descriptor.server_streaming]}"
    call = getattr(channel, kind)(method.path, method.request.SerializeToString, method.response.FromString)
    metadata = () if key is None else (("authorization", f"Bearer {key}"),)

    async def upload() -> AsyncIterator[Message]:
        """Send *request* unless the call is refused at once: gRPC's client calls that an INTERNAL error of its own."""
        await asyncio.wait({asyncio.ensure_future(running.code())}, timeout=0.3)
        yield request

    running = call(upload() if descriptor.client_streaming else request, metadata=metadata, timeout=SECONDS)
    try:
        reply = await (running.read() if descriptor.server_streaming else running)
    except grpc.aio.AioRpcError as error:
        return Seen(error.code().name, error.details() or "")
    finally:
        running.cancel()
    return Seen("OK", str(reply))


async def by_rest(http: aiohttp.ClientSession, rule: HttpRule, request: Any, key: str | None) -> Seen:
    """Send *request*, which `shaped` made, by the route *rule*; query parameters are left out."""
    verb = str(rule.WhichOneof("pattern"))
    path = VARIABLE.sub(lambda found: quote(str(value_of(request, found[1])), safe=""), getattr(rule, verb))
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    data, content_type = body_of(request, rule.body, changes=verb == "patch")
    if data is not None:
        headers["content-type"] = content_type
    async with http.request(verb.upper(), path, data=data, headers=headers) as reply:
        stream = reply.status == 200 and "chunked" in reply.headers.get("transfer-encoding", "")
        return Seen(reply.status, (await (reply.content.readline() if stream else reply.read())).decode())


def shaped(method: Method, rule: HttpRule | None) -> Any:
    """Return the smallest valid request that goes by the route *rule*, or over gRPC."""
    request = valid(method.request.DESCRIPTOR)
    for found in VARIABLE.finditer(getattr(rule, str(rule.WhichOneof("pattern"))) if rule else ""):
        *owners, name = found[1].split(".")
        owner: Any = request
        for each in owners:
            field = owner.DESCRIPTOR.fields_by_name[each]
            if not owner.HasField(each):
                getattr(owner, each).CopyFrom(valid(field.message_type))
            owner = getattr(owner, each)
        if not getattr(owner, name):
            field = owner.DESCRIPTOR.fields_by_name[name]
            fill(owner, field, rules_of(field))
    return request


def value_of(message: Any, path: str) -> Any:
    """Return the value at *path*, as in "update.order_id"."""
    return reduce(getattr, path.split("."), message)


def body_of(message: Any, name: str, *, changes: bool) -> tuple[bytes | None, str]:
    """Return the body of a route that takes the field *name*, and its content type; no *changes* of what is fixed."""
    if not name:
        return None, ""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is not None and field.type == FieldDescriptor.TYPE_BYTES:
        return b"external_id,name\n1,Ada\n", "text/csv"
    part = message if name == "*" else getattr(message, name)
    values = MessageToDict(part, preserving_proto_field_name=True)
    if changes:
        fixed = [
            each.name for each in part.DESCRIPTOR.fields if IMMUTABLE in each.GetOptions().Extensions[field_behavior]
        ]
        values = {each: value for each, value in values.items() if each not in fixed}
    return json.dumps(values).encode(), "application/json"

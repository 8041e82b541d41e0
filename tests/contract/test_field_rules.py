"""Every field rule of the contract, made from the descriptors, is kept by the server."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from known_keys import ADMIN
from known_secrets import secrets_of

from contract.samples import Broken, broken_requests, valid
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem_client import webhooks
from tandem_proto.catalogue import Method, methods
from tandem_proto.errors import InvalidArgument, TandemError
from tandem_proto.status import METADATA_KEY, from_status

CASES = list(broken_requests())
KEY = (("authorization", f"Bearer {ADMIN.key}"),)
UPDATES = {method for method in methods() if "update_mask" in method.request.DESCRIPTOR.fields_by_name}


async def refusal(stack: Any, method: Method, request: Message) -> TandemError | None:
    """Make the call and return how it was refused."""
    if method.signed:
        sign(request)
    async with grpc.aio.insecure_channel(stack.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        wire: dict[str, Any] = {
            "request_serializer": method.request.SerializeToString,
            "response_deserializer": method.response.FromString,
        }
        try:
            if method.descriptor.client_streaming:
                await channel.stream_unary(method.path, **wire)(iter([request]), metadata=KEY, timeout=20)
            elif method.unary:
                await channel.unary_unary(method.path, **wire)(request, metadata=KEY, timeout=20)
            else:
                await anext(aiter(channel.unary_stream(method.path, **wire)(request, metadata=KEY, timeout=20)))
        except grpc.aio.AioRpcError as error:
            details = dict(error.trailing_metadata() or ()).get(METADATA_KEY)
            assert details is None or isinstance(details, bytes)
            return from_status(error.code().name, error.details() or "", details)
    return None


def sign(request: Any) -> None:
    """Sign a webhook as its ERP does: only what is verified is looked at."""
    request.erp, request.webhook_id = "default", request.webhook_id or "e1"
    headers = webhooks.sign(secrets_of("default")[0], request.webhook_id, request.body)
    request.webhook_timestamp, request.webhook_signature = headers["webhook-timestamp"], headers["webhook-signature"]


def masked(request: Any, field: str) -> None:
    """Let an update be about the broken field, since it is asked about nothing else."""
    resource, _, path = field.partition(".")
    if path and resource in request.DESCRIPTOR.fields_by_name:
        request.update_mask.paths.append(path.split(".")[0].split("[")[0])


def test_every_method_has_rules() -> None:
    assert {case.method for case in CASES} == {method for method in methods() if method.request.DESCRIPTOR.fields}
    assert len(CASES) > 250


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_broken_rule_is_refused_naming_the_field(stack: Any, case: Broken) -> None:
    request = valid(case.method.request.DESCRIPTOR)
    case.spoil(request)
    if case.method in UPDATES:
        masked(request, case.field)
        if ".external_id" in case.field or ".currency" in case.field:
            return await nothing_but_a_refusal(stack, case, request)
    error = await refusal(stack, case.method, request)
    assert isinstance(error, InvalidArgument), error
    named = {wrong.field for wrong in error.fields}
    assert case.field in named or case.rule == "oneof", named
    return None


async def nothing_but_a_refusal(stack: Any, case: Broken, request: Message) -> None:
    error = await refusal(stack, case.method, request)
    assert isinstance(error, InvalidArgument), error


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("method", [m for m in methods() if m not in UPDATES], ids=lambda m: m.name)
async def test_all_wrong_fields_are_named_at_once(stack: Any, method: Method) -> None:
    by_field: dict[str, Broken] = {}
    for case in CASES:
        if case.method == method and case.rule not in ("required", "min_items", "max_items", "max_pairs", "unique"):
            by_field.setdefault(case.field, case)
    fields = sorted(by_field)
    for some in (fields[start : start + 20] for start in range(0, len(fields), 20)):
        request = valid(method.request.DESCRIPTOR)
        for field in some:
            by_field[field].spoil(request)
        error = await refusal(stack, method, request)
        assert isinstance(error, InvalidArgument), error
        assert set(some) <= {wrong.field for wrong in error.fields}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_more_wrong_fields_than_a_reply_can_name_are_counted(stack: Any) -> None:
    method = next(method for method in methods() if method.name == "CreateOrder")
    request: Any = valid(method.request.DESCRIPTOR)
    for _ in range(299):
        request.order.lines.add()
    error = await refusal(stack, method, request)
    assert isinstance(error, InvalidArgument), error
    assert len(error.fields) > 20
    assert len(error.fields) + int(error.metadata["omitted_fields"]) == 299 * 3


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_million_wrong_items_take_no_time(stack: Any) -> None:
    """A list that is too long is not looked into, and of a list that is not, a thousand wrong fields are looked for."""
    method = next(method for method in methods() if method.name == "CreateOrder")
    request: Any = valid(method.request.DESCRIPTOR)
    request.order.lines.extend(OrderLine(attributes={f"A{n}": "" for n in range(20)}) for _ in range(1999))
    started = time.monotonic()
    error = await refusal(stack, method, request)
    assert isinstance(error, InvalidArgument), error
    assert len(error.fields) + int(error.metadata["omitted_fields"]) == 1000
    request.order.lines.extend([OrderLine()] * 1_000_000)
    error = await refusal(stack, method, request)
    assert isinstance(error, InvalidArgument), error
    assert [wrong.field for wrong in error.fields] == ["order.lines"]
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_bytes_that_are_no_message_are_refused(stack: Any) -> None:
    create = next(method for method in methods() if method.name == "CreateOrder")
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        call: Any = channel.unary_unary(create.path)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call(b"\xff" * 100, metadata=KEY, timeout=20)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT

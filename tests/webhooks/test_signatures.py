"""What cannot be verified is 401, whatever it is, and leaves no trace (promise 24)."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from conftest import Party, new_party
from known_keys import ADMIN
from known_secrets import secrets_of

from tandem.integration.v1.erp_event_requests_pb2 import ReceiveErpEventRequest
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from tandem_client import Tandem, webhooks

from .sender import BODY, Sender, by_the_package

pytestmark = [
    pytest.mark.usefixtures("deadline"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]

ANOTHER = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
Headers = dict[str, str]


async def nothing_is_recorded(overseer: Tandem) -> bool:
    return [event async for event in overseer.webhooks.list()] == []


@pytest.mark.parametrize("age", [0, 1], ids=["new-secret", "old-secret"])
@pytest.mark.parametrize("seconds", [-290, 0, 299])  # it gets older on its way
async def test_what_the_package_signs_passes(sender: Sender, seconds: int, age: int) -> None:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    headers = by_the_package(secrets_of(sender.erp)[age], f"e{seconds}-{age}", BODY, at)
    assert await sender.post(BODY, headers) == (200, {"outcome": "UNKNOWN_TYPE", "code": "", "reason": ""})


async def test_one_good_signature_of_several_is_enough(sender: Sender) -> None:
    headers = webhooks.sign(sender.secret, "e1", BODY)
    wrong = webhooks.sign(ANOTHER, "e1", BODY)["webhook-signature"]
    headers["webhook-signature"] = f"v1a,AAAA {wrong} {headers['webhook-signature']}"
    assert (await sender.post(BODY, headers))[0] == 200


Forge = Callable[[Headers, bytes], tuple[Headers, bytes]]


def header(name: str, change: Callable[[str], str]) -> Forge:
    return lambda headers, body: (headers | {name: change(headers[name])}, body)


def body(change: Callable[[bytes], bytes]) -> Forge:
    return lambda headers, body: (headers, change(body))


def without(name: str) -> Forge:
    return lambda headers, body: ({key: value for key, value in headers.items() if key != name}, body)


def flipped(signature: str) -> str:
    """Flip one bit of what the signature says in base64."""
    version, _, text = signature.partition(",")
    raw = bytearray(base64.b64decode(text))
    raw[7] ^= 1
    return f"{version},{base64.b64encode(raw).decode()}"


FORGERIES: dict[str, Forge] = {
    "flipped bit of the signature": header("webhook-signature", flipped),
    "flipped bit of the body": body(lambda raw: bytes([raw[0] ^ 1]) + raw[1:]),
    "re-serialized body": body(lambda raw: json.dumps(json.loads(raw), separators=(",", ":")).encode()),
    "one more space": body(lambda raw: raw + b" "),
    "no body": body(lambda _: b""),
    "another id": header("webhook-id", lambda told: told + "x"),
    "another second": header("webhook-timestamp", lambda told: str(int(told) + 1)),
    "no id": without("webhook-id"),
    "no timestamp": without("webhook-timestamp"),
    "no signature": without("webhook-signature"),
    **{
        f"timestamp {text!r}": header("webhook-timestamp", lambda _, text=text: text)  # type: ignore[misc]
        for text in ("", "now", "nan", "inf", "-1e999", "0x10", "9" * 400, "²", "2010-12-02T09:00:00Z")
    },
    **{
        f"signature {text!r}": header("webhook-signature", lambda _, text=text: text)  # type: ignore[misc]
        for text in (
            *("", ",", "v1", "v1,", "v1,%%%", "v1,AAA", "v1,é", "v1,a,b", "v2,AAAA", "v1 v1 v1"),
            "v1,A " * 1500,
        )
    },
    "another version": header("webhook-signature", lambda told: told.replace("v1,", "v2,")),
    "commas between": header("webhook-signature", lambda told: f"{told},{told}"),
    "no UTF-8": body(lambda _: b"\xff\xfe{}"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_forgeries_are_401(sender: Sender, overseer: Tandem, forgery: str) -> None:
    headers, forged = FORGERIES[forgery](webhooks.sign(sender.secret, "e1", BODY), BODY.encode())
    status, problem = await sender.post(forged, headers)
    assert (status, problem["reason"]) == (401, "WEBHOOK_UNVERIFIED")
    assert await nothing_is_recorded(overseer)


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
async def test_301_seconds_off_is_401(sender: Sender, overseer: Tandem, seconds: int) -> None:
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    if seconds == 301:
        when += timedelta(seconds=1)  # it gets younger on its way
    assert (await sender.post(BODY, webhooks.sign(sender.secret, "e1", BODY, at=when)))[0] == 401
    assert await nothing_is_recorded(overseer)


async def test_other_secrets_and_other_erps_are_401(sender: Sender, party: Party, overseer: Tandem) -> None:
    signed, stranger = webhooks.sign(sender.secret, "e1", BODY), new_party(party.stack)
    for headers, erp in (
        (webhooks.sign(ANOTHER, "e1", BODY), ""),
        (webhooks.sign(secrets_of(stranger.erp)[0], "e1", BODY), ""),
        (signed, stranger.erp),
        (signed, "nobody"),
        (signed, f"{party.erp}%20"),
        (signed, "%00"),
        (signed, "é"),
        (signed, "x" * 5000),
    ):
        assert (await sender.post(BODY, headers, erp))[0] == 401, erp
    assert await nothing_is_recorded(overseer)


async def test_a_signed_body_that_is_not_utf8_is_401(sender: Sender, overseer: Tandem) -> None:
    for raw in (b"\xff", b'{"type":"a\x80"}', "{}".encode("utf-16")):
        assert (await sender.post(raw, webhooks.sign(sender.secret, "e1", raw)))[0] == 401
    assert await nothing_is_recorded(overseer)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_headers_that_are_not_utf8_are_401(sender: Sender, party: Party, name: str) -> None:
    """Which no HTTP client sends, so this is one of our own."""
    raw, headers = BODY.encode(), webhooks.sign(sender.secret, "e1", BODY)
    lines = [f"{key}: ".encode() + (b"\xff\xfe" if key == name else text.encode()) for key, text in headers.items()]
    host, _, port = party.stack.http.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    first = f"POST /v1/webhooks/erp/{sender.erp} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}\r\n".encode()
    writer.write(first + b"\r\n".join(lines) + b"\r\n\r\n" + raw)
    assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_a_key_is_no_signature(party: Party, sender: Sender) -> None:
    """Not even one that may do everything, over REST and over gRPC."""
    key = {"authorization": f"Bearer {ADMIN.key}"}
    assert (await sender.post(BODY, key))[0] == 401
    async with grpc.aio.insecure_channel(party.stack.grpc) as channel:
        request = ReceiveErpEventRequest(erp=party.erp, body=BODY.encode(), webhook_id="e1")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await IntegrationServiceStub(channel).ReceiveErpEvent(request, metadata=tuple(key.items()))
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED

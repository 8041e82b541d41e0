"""Promise 24: who has no right key any more is out, and the database gives none away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import grpc
import pytest
from behind import everything_in
from conftest import new_party
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from known_keys import ADMIN, EXPIRED, OPERATOR, OTHER_ADMIN, REPORTS, REVOKED, holders
from stack import Stack

from tandem.erp.v1.delivery_requests_pb2 import PullOrdersRequest
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub

pytestmark = pytest.mark.usefixtures("deadline")

STREAM_SECONDS = 30


@pytest.fixture(scope="module")
def own(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack whose server looks at keys again after a second."""
    return make_stack(make_database(database), key_cache_seconds="1")


@pytest.fixture
async def rest(own: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(own.http) as session:
        yield session


async def ask(
    http: aiohttp.ClientSession, key: str, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any]:
    headers |= {"authorization": f"Bearer {key}"}
    async with http.request(method, path, json=body, headers=headers) as reply:
        return reply.status, await reply.json(content_type=None)


async def create(http: aiohttp.ClientSession, **key: object) -> dict[str, Any]:
    status, made = await ask(http, ADMIN.key, "POST", "/v1/keys", {"name": "shop", "roles": ["CRM"], **key})
    assert status == 201, made
    return dict(made)


async def test_a_key_is_shown_once_works_and_is_revoked(rest: aiohttp.ClientSession) -> None:
    made = await create(rest, source="p1", roles=["CRM", "INTEGRATION"], expires_at="2100-01-01T00:00:00Z")
    secret = made.pop("secret")
    assert secret.startswith(f"tdm_dev_{made['id'].removeprefix('key_')}_")
    assert {"orders:write", "exports:read"} < set(made["scopes"])
    assert made["created_by"] == "admin"
    assert not {"last_used_at", "revoked_at"} & made.keys()
    path = f"/v1/keys/{made['id']}"
    assert await ask(rest, ADMIN.key, "GET", path) == (200, made | {"secret": ""})
    assert (await ask(rest, secret, "GET", "/v1/orders"))[0] == 200
    assert (await ask(rest, secret.replace("tdm_dev", "tdm_live"), "GET", "/v1/orders"))[0] == 401
    status, revoked = await ask(rest, ADMIN.key, "POST", f"{path}:revoke", {})
    assert status == 200
    status, problem = await ask(rest, secret, "GET", "/v1/orders")
    assert (status, problem["reason"]) == (401, "KEY_REVOKED")
    assert await ask(rest, ADMIN.key, "POST", f"{path}:revoke", {}) == (200, revoked)


async def test_why_a_key_is_refused_is_told(rest: aiohttp.ClientSession) -> None:
    for key, reason in ((REVOKED.key, "KEY_REVOKED"), (EXPIRED.key, "KEY_EXPIRED"), ("x", "UNKNOWN_KEY")):
        assert (await ask(rest, key, "GET", "/v1/orders"))[1]["reason"] == reason
    async with rest.get("/v1/orders") as reply:
        assert ((await reply.json())["reason"], reply.headers["www-authenticate"]) == ("KEY_MISSING", "Bearer")
    async with rest.get("/v1/orders", headers={"authorization": f"Basic {ADMIN.key}"}) as reply:
        assert reply.status == 401


async def test_keys_are_listed_to_those_they_concern(rest: aiohttp.ClientSession) -> None:
    mine = await create(rest, source="crm", erp="default")
    seen, token = set(), None
    while token != "":
        page = (await ask(rest, ADMIN.key, "GET", f"/v1/keys?page_size=1000&page_token={token or ''}"))[1]
        token = page["next_page_token"]
        seen |= {(key["id"], key["secret"]) for key in page["keys"]}
    assert {(holder.id, "") for holder in holders()} | {(mine["id"], "")} <= seen
    page = (await ask(rest, OTHER_ADMIN.key, "GET", "/v1/keys"))[1]
    assert {key["id"] for key in page["keys"]} == {OTHER_ADMIN.id, mine["id"]}


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ({"roles": ["CRM"]}, {"source"}),
        ({"roles": ["ERP", "INTEGRATION"]}, {"source", "erp"}),
        ({"roles": []}, {"roles"}),
        ({"roles": ["REPORTS"], "erp": "default"}, {"source"}),
        ({"roles": ["OPERATOR"], "erp": "default"}, {"source"}),
        ({"roles": ["OPERATOR"], "source": "crm"}, {"erp"}),
        ({"roles": ["REPORTS"], "expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}),
        ({"roles": ["REPORTS"], "secret": "mine"}, {"secret"}),
    ],
)
async def test_a_key_that_makes_no_sense_names_what_is_wrong(
    rest: aiohttp.ClientSession, key: dict[str, object], wrong: set[str]
) -> None:
    status, problem = await ask(rest, ADMIN.key, "POST", "/v1/keys", {"name": "shop", **key})
    assert (status, {error["field"] for error in problem["errors"]}) == (400, wrong)


@pytest.mark.parametrize(
    "key",
    [{"roles": ["ADMIN"]}, {"roles": ["CRM"], "source": "p1"}, {"roles": ["ERP"], "source": "crm", "erp": "e1"}],
)
async def test_nobody_makes_a_key_that_speaks_for_others(rest: aiohttp.ClientSession, key: dict[str, object]) -> None:
    status, problem = await ask(rest, OTHER_ADMIN.key, "POST", "/v1/keys", {"name": "more", **key})
    assert (status, problem["reason"]) == (403, "OTHER_PARTY")
    assert (await ask(rest, OPERATOR.key, "POST", "/v1/keys", {"name": "more", **key}))[0] == 403


async def test_promise_24_a_dump_holds_no_usable_key(own: Stack, rest: aiohttp.ClientSession) -> None:
    """Not even where a caller asks for the reply to be kept; nor do the logs."""
    keyed = {"idempotency-key": "twice"}
    body = {"name": "kept", "roles": ["REPORTS"]}
    made = [await ask(rest, ADMIN.key, "POST", "/v1/keys", body, **keyed) for _ in range(2)]
    assert made[0][1]["id"] != made[1][1]["id"]
    keys = [ADMIN.key, *(key["secret"] for _, key in made)]
    for key in keys:
        assert (await ask(rest, key, "GET", "/v1/customers"))[0] == 200
    logs = "".join(path.read_text() for path in own.home.glob("*.log"))
    dump = str(everything_in(own.environment["TANDEM_DATABASE_URL"]))
    assert made[0][1]["id"] in dump
    assert "/v1/customers" in logs
    for key in keys:
        assert key.rsplit("_", 1)[1][:32] not in dump + logs


async def open_stream(channel: grpc.aio.Channel, key: str) -> Any:
    """Open a stream; its first message says that it is open."""
    metadata = (("authorization", f"Bearer {key}"),)
    call = ErpServiceStub(channel).PullOrders(PullOrdersRequest(worker="w"), metadata=metadata)
    await call.read()
    return call


async def test_promise_24_the_streams_of_a_key_end_with_it(
    own: Stack, rest: aiohttp.ClientSession, make_stack: Callable[..., Stack]
) -> None:
    """Revoked on another server, or expired, or in the middle of work: all but a stream of another key end."""
    other, erp = make_stack(own.environment["TANDEM_DATABASE_URL"]), {"roles": ["ERP"], "erp": "e1"}
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    revoked, expiring, staying = await create(rest, **erp), await create(rest, **erp, expires_at=soon), new_party(own)
    async with grpc.aio.insecure_channel(own.grpc) as channel, aiohttp.ClientSession(other.http) as there:
        ended = [await open_stream(channel, key["secret"]) for key in (revoked, expiring)]
        alive = await open_stream(channel, staying.erp_key)
        headers = {"authorization": f"Bearer {revoked['secret']}"}
        async with rest.post("/v1/erp/orders:stream", json={"worker": "w"}, headers=headers) as over_rest:
            assert await over_rest.content.readline() == b"\n"
            assert (await ask(there, ADMIN.key, "POST", f"/v1/keys/{revoked['id']}:revoke", {}))[0] == 200
            started = time.monotonic()
            for call in ended:
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await call.read()
                assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
            with pytest.raises(aiohttp.ClientPayloadError):
                await over_rest.content.read()
        assert time.monotonic() - started < STREAM_SECONDS
        assert not alive.done()
        alive.cancel()


async def test_reflection_needs_any_key_and_health_needs_none(own: Stack) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(own.grpc) as channel:
        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        assert await asked().code() is grpc.StatusCode.UNAUTHENTICATED
        reply = await asked(iter([request]), metadata=(("authorization", f"Bearer {REPORTS.key}"),)).read()
        assert "tandem.admin.v1.AdminService" in {each.name for each in reply.list_services_response.service}
        healthy = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert healthy.status == health_pb2.HealthCheckResponse.SERVING


async def test_when_a_key_was_last_used_is_known_in_the_end(own: Stack, rest: aiohttp.ClientSession) -> None:
    """It is written beside the calls, and when the server stops."""
    made = await create(rest, source="p1")
    for _ in range(3):
        assert (await ask(rest, made["secret"], "GET", "/v1/orders"))[0] == 200
    await asyncio.to_thread(own.server.stop)
    own.server.start()
    await asyncio.to_thread(own.wait_until_ready)
    _, seen = await ask(rest, ADMIN.key, "GET", f"/v1/keys/{made['id']}")
    assert made["created_at"] < seen["last_used_at"]

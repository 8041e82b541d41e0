"""Whether the gateway is alive, and whether it is of use: `/healthz`, `/readyz`. Neither needs a key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
from aiohttp import web
from grpc_health.v1 import health_pb2

from tandem_gateway.calls import Endpoint, Exchange
from tandem_gateway.settings import Settings
from tandem_gateway.transcoding import json
from tandem_gateway.transcoding.routes import Route
from tandem_gateway.transcoding.template import Template

_CHECK = "/grpc.health.v1.Health/Check"


def routes(channel: grpc.aio.Channel, settings: Settings, stopping: asyncio.Event) -> Iterator[Route[Endpoint]]:
    """Return the routes of both checks; nothing is ready any more when it is *stopping*."""
    check = channel.unary_unary(
        _CHECK, health_pb2.HealthCheckRequest.SerializeToString, health_pb2.HealthCheckResponse.FromString
    )

    async def alive(_: Exchange) -> web.Response:
        return _reply({"process": "SERVING"})

    async def ready(_: Exchange) -> web.Response:
        if stopping.is_set():
            return _reply({"gateway": "NOT_SERVING"})
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=settings.http_ready_seconds)
        except grpc.aio.AioRpcError as error:
            return _reply({"server": error.code().name})
        return _reply({"server": health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)})

    yield Route("GET", Template("/healthz"), Endpoint(alive))
    yield Route("GET", Template("/readyz"), Endpoint(ready))


def _reply(checks: dict[str, str]) -> web.Response:
    """Return 200 if all *checks* are SERVING, else 503; the body names each."""
    fit = all(state == "SERVING" for state in checks.values())
    document = {"status": "ok" if fit else "unavailable", "checks": checks}
    return web.Response(status=200 if fit else 503, body=json.dumps(document), content_type="application/json")

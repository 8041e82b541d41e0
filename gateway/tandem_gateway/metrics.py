"""What the gateway measures, as Prometheus reads it: `/metrics`. It needs no key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from tandem_gateway.calls import Endpoint, Exchange
from tandem_gateway.transcoding.routes import Route
from tandem_gateway.transcoding.template import Template


def routes() -> Iterator[Route[Endpoint]]:
    """Return the route of the metrics."""

    async def told(exchange: Exchange) -> web.Response:
        encode, content_type = choose_encoder(exchange.http.headers.get("Accept", ""))
        text = await asyncio.to_thread(encode, REGISTRY)
        return web.Response(body=text, headers={"Content-Type": content_type})

    yield Route("GET", Template("/metrics"), Endpoint(told))

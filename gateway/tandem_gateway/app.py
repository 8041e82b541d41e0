"""The composition root: settings become a running gateway."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tandem_gateway import calls, health, metrics, webhooks
from tandem_gateway.body import Bodies
from tandem_gateway.channel import open_channel
from tandem_gateway.edge import Edge
from tandem_gateway.server import Server
from tandem_gateway.settings import Settings
from tandem_gateway.transcoding.routes import Routes

logger = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10
"""How long a connection may take to agree on TLS; before that it is not counted."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """Serve as long as the block runs, and give the base URL; port 0 takes a free one.

    At the end readiness says so for `http_notice_seconds`; then no connection is accepted any more, and what runs has
    `http_grace_seconds` to end. Raises OSError if the address cannot be bound, ValueError if it must not be served.
    """
    host, port = settings.listen_address
    certificate = settings.certificate("http_listen")
    secured: dict[str, Any] = {}
    if certificate:
        secured = {"ssl": certificate.context, "ssl_handshake_timeout": HANDSHAKE_SECONDS}
    async with open_channel(settings) as channel:
        bodies = Bodies(settings)
        with_bodies = (route for part in (calls, webhooks) for route in part.routes(channel, bodies, settings))
        stopping = asyncio.Event()
        routes = Routes([*with_bodies, *health.routes(channel, settings, stopping), *metrics.routes()])
        server = Server(Edge(routes), settings, stopping)
        # aiohttp waits so long for a handler, and then once more after telling it to end.
        runner = web.ServerRunner(server, shutdown_timeout=settings.http_grace_seconds / 2)
        await runner.setup()
        listening = await asyncio.get_running_loop().create_server(server, host, port, **secured)
        try:
            host, port = listening.sockets[0].getsockname()[:2]
            url = f"http{'s' * bool(secured)}://{f'[{host}]' if ':' in host else host}:{port}"
            logger.info("serving %s for %s", url, settings.grpc)
            yield url
            stopping.set()
            await asyncio.sleep(settings.http_notice_seconds)
        finally:
            listening.close()
            await runner.cleanup()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running(settings):
        await stop.wait()
        logger.info("stopping")

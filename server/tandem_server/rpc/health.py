"""`grpc.health.v1`: SERVING as long as the database answers and the server does not stop."""

from __future__ import annotations

import asyncio

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse

from tandem_server.storage.database import Database
from tandem_server.usecases.tasks import Tasks

SECONDS = 1.0
"""The pause between two looks at the database."""


class Health:
    """Follows the database, both ways; `servicer` is the service."""

    def __init__(self, database: Database) -> None:
        self.servicer = health.aio.HealthServicer()
        self._database = database
        self._tasks = Tasks()

    async def start(self) -> None:
        """Say SERVING, and begin to follow the database."""
        await self.servicer.set("", HealthCheckResponse.SERVING)
        self._tasks.spawn(self._follow())

    async def drain(self) -> None:
        """Say NOT_SERVING, and go on saying so."""
        await self.servicer.enter_graceful_shutdown()

    async def close(self) -> None:
        """End the background work."""
        self._tasks.cancel()

    async def _follow(self) -> None:
        serving = True
        while True:
            await asyncio.sleep(SECONDS)
            if await self._database.reach.probe(self._database) is not serving:
                serving = not serving
                status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
                await self.servicer.set("", status)

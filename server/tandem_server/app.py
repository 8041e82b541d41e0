"""The composition root: what the server is made of, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tandem.admin.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from tandem.crm.v1.crm_service_pb2_grpc import add_CrmServiceServicer_to_server
from tandem.erp.v1.erp_service_pb2_grpc import add_ErpServiceServicer_to_server
from tandem.integration.v1.integration_service_pb2_grpc import add_IntegrationServiceServicer_to_server
from tandem_proto.catalogue import SERVICES
from tandem_server.migrations import head
from tandem_server.rpc.admin import AdminService
from tandem_server.rpc.crm import CrmService
from tandem_server.rpc.erp import ErpService
from tandem_server.rpc.guards import Guarded
from tandem_server.rpc.health import Health
from tandem_server.rpc.integration import IntegrationService
from tandem_server.rpc.limits import Allowance, Limits
from tandem_server.rpc.transport import Connections
from tandem_server.settings import Settings
from tandem_server.storage.checks import check
from tandem_server.storage.database import Database
from tandem_server.usecases import erasures
from tandem_server.usecases.backlog import Gauges
from tandem_server.usecases.dispatch import Dispatcher
from tandem_server.usecases.housekeeping import Housekeeping
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.sync_status import StatusBoard
from tandem_server.usecases.webhook_secrets import WebhookSecrets

log = logging.getLogger(__name__)


CLOSING_SECONDS = 1.5
"""How long units of work that were abandoned may take to end, when the time to drain is over."""


class Server:
    """One server process, on its database and its port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        certificate = settings.certificate("grpc_listen")
        self._credentials = certificate and certificate.credentials()
        routes = settings.parsed_routes
        self._database = Database(
            settings.url,
            pool_size=settings.pool_size,
            transaction_seconds=settings.transaction_seconds,
            marks=settings.marks,
        )
        self._dispatcher = Dispatcher(self._database, max_failures=settings.max_attempts)
        self._keys = KeyRing(self._database, settings.key_cache_seconds)
        gauges = Gauges(self._database, settings.pool_size) if settings.measured else None
        self._housekeeping = Housekeeping(self._database, self._keys, gauges)
        self._health = Health(self._database)
        allowance = Allowance(settings.key_requests_per_second, settings.key_calls, settings.key_streams)
        secrets = WebhookSecrets(settings.webhook_secrets_file)
        guarded = Guarded(self._keys, secrets, Limits(allowance), settings.grpc_call_seconds)
        connections = Connections(settings.grpc_connections, settings.grpc_message_bytes)
        self._server = grpc.aio.server(interceptors=[guarded], options=connections.options())
        crm = CrmService(self._database, routes, self._dispatcher.wake)
        erp = ErpService(self._database, self._dispatcher, self._housekeeping, routes, settings.max_attempts)
        board = StatusBoard(self._database, routes)
        self._integration = IntegrationService(self._database, self._dispatcher, self._housekeeping, routes, board)
        add_CrmServiceServicer_to_server(crm, self._server)
        add_ErpServiceServicer_to_server(erp, self._server)
        add_IntegrationServiceServicer_to_server(self._integration, self._server)
        admin = AdminService(self._database, self._keys, settings.environment)
        add_AdminServiceServicer_to_server(admin, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._server)
        names = [service.full_name for service in SERVICES]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)

    async def start(self) -> int:
        """Check the database, listen, and return the port. Raises what says what is wrong."""
        await check(self._settings.url, head())
        await erasures.check(self._database)
        self._housekeeping.start()
        port = self._listen(self._settings.grpc_listen)
        await self._server.start()
        await self._health.start()
        return port

    def _listen(self, address: str) -> int:
        if self._credentials:
            return self._server.add_secure_port(address, self._credentials)
        return self._server.add_insecure_port(address)

    async def stop(self) -> None:
        """Drain, in `drain_seconds` and 2 s at most: say so in health and go on for a moment, then take no new calls.

        Streams end resumably, unary calls and abandoned units of work finish, and everything is closed.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._settings.drain_seconds
        await self._health.drain()
        await asyncio.sleep(self._settings.drain_notice_seconds)
        await self._dispatcher.drain()
        self._integration.drain()
        await self._server.stop(max(0.0, ends - loop.time()))
        with suppress(TimeoutError):
            async with asyncio.timeout_at(max(ends, loop.time()) + CLOSING_SECONDS):
                await self._close()

    async def _close(self) -> None:
        await self._health.close()
        owners = self._dispatcher, self._integration, self._housekeeping, self._keys
        await asyncio.gather(*(owner.close() for owner in owners))
        await self._database.close()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(settings)
    port = await server.start()
    log.info("serving on %s (port %d)", settings.grpc_listen, port)
    await stopped.wait()
    log.info("draining")
    await server.stop()

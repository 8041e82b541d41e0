"""Where a running Tandem is, and the ways in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc

from benchmarks.databases import Database
from tandem_client import Tandem

SECONDS = 30.0
"""The deadline of every call."""

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Place:
    """One server with its gateway, and the database below.

    *pids* are whose CPU time is counted, by name; *keys* those of `dev.env`; *log* is the server's.
    """

    target: str
    base_url: str
    database: Database
    pids: Mapping[str, int]
    keys: Mapping[str, str]
    log: Path

    @property
    def crm_key(self) -> str:
        """The CRM's key."""
        return self.keys["TANDEM_CRM_KEY"]

    @property
    def erp_key(self) -> str:
        """The ERP's key."""
        return self.keys["TANDEM_ERP_KEY"]

    def crm(self) -> Tandem:
        """Return the CRM's client."""
        return Tandem(self.target, self.crm_key)

    def worker(self) -> Tandem:
        """Return the ERP's client."""
        return Tandem(self.target, self.erp_key)

    def channel(self) -> grpc.aio.Channel:
        """Return a channel with a connection of its own; others to the same server would share one."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 16 << 20)]
        return grpc.aio.insecure_channel(self.target, options)

    @asynccontextmanager
    async def rest(self, connections: int) -> AsyncIterator[aiohttp.ClientSession]:
        """Open a REST client of the CRM's with that many connections at most."""
        headers = {"authorization": f"Bearer {self.crm_key}", "content-type": "application/json"}
        connector = aiohttp.TCPConnector(limit=connections)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(
            self.base_url, headers=headers, connector=connector, timeout=timeout
        ) as session:
            yield session


def calling(method: Any, request: Callable[[], Any], key: str) -> Call:
    """Return a way to call *method* of a gRPC stub with a new *request* each time."""
    metadata = (("authorization", f"Bearer {key}"),)

    async def call() -> object:
        return await method(request(), metadata=metadata, timeout=SECONDS)

    return call


def asking(session: aiohttp.ClientSession, verb: str, path: str, body: Callable[[], bytes | None]) -> Call:
    """Return a way to send one REST request and read its reply, which must be a good one."""

    async def call() -> object:
        async with session.request(verb, path, data=body()) as reply:
            reply.raise_for_status()
            return await reply.read()

    return call

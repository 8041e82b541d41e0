"""What is soaked: two servers, two gateways and a MySQL, with a proxy wherever one talks to another."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
from addresses import free_address
from collectors import taking
from dev_env import keys_of
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from stack import Process, Stack
from webhook_secrets import first_secret, secrets_file

from soaking.ledger import Ledger
from soaking.mysqld import OwnMysql
from soaking.proxy import Proxy

DATABASE = "soaked"
GRACE_SECONDS = 5
UP_SECONDS = 60
RESTART_SECONDS = 0.5
NUMBERS = "12"


@dataclass
class Kept:
    """A process that is kept running, where it listens, and when it was started last."""

    process: Process
    address: str
    started: float = 0.0

    def start(self) -> None:
        """Start it."""
        self.process.start()
        self.started = time.monotonic()

    async def wait_until_up(self) -> None:
        """Wait until it listens; raises TimeoutError."""
        host, _, port = self.address.rpartition(":")
        async with asyncio.timeout(UP_SECONDS):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    return
                await asyncio.sleep(0.05)

    async def wait_until_serving(self) -> None:
        """Wait until it says that it serves."""
        await self.wait_until_up()
        while not await self._serves():  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.1)

    async def _serves(self) -> bool:
        with suppress(aiohttp.ClientError, grpc.aio.AioRpcError):
            if self.process.command == "tandem-gateway":
                url = f"http://{self.address}/readyz"
                async with aiohttp.ClientSession() as session, session.get(url) as reply:
                    return reply.status == 200
            async with grpc.aio.insecure_channel(self.address) as channel:
                health = await HealthStub(channel).Check(HealthCheckRequest(), timeout=5)
                return bool(health.status == HealthCheckResponse.SERVING)
        return False


class Site:
    """All of it, by name: `kept` are the processes, `proxies` what they and their callers dial.

    The first server and gateway tell a collector of their spans: a fault may end otherwise where spans are made.

    `turns` has a lock for each of them, and for "mysql": whoever does something to one holds it.
    """

    def __init__(self, mysql: OwnMysql, folder: Path, ledger: Ledger) -> None:
        self.mysql, self._folder, self._ledger = mysql, folder, ledger
        self._closing = ExitStack()
        self.proxies: dict[str, Proxy] = {}
        self.kept: dict[str, Kept] = {}
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.keys: dict[str, str] = {}
        self.secret = ""

    @property
    def target(self) -> str:
        """What gRPC clients dial: both servers."""
        return f"ipv4:{self.proxies['way to server 1'].address},{self.proxies['way to server 2'].address}"

    @property
    def direct(self) -> str:
        """The same, past the proxies."""
        return f"ipv4:{self.kept['server 1'].address},{self.kept['server 2'].address}"

    @property
    def gateways(self) -> list[str]:
        """What REST clients dial."""
        return [self.proxies[f"way to gateway {n}"].address for n in NUMBERS]

    async def start(self) -> None:
        """Start everything on a new database."""
        self.mysql.ask(f"CREATE DATABASE {DATABASE}")
        secrets = secrets_file(self._folder)
        self.secret = first_secret(secrets)
        addresses = {name: free_address() for name in ("server 1", "server 2", "gateway 1", "gateway 2")}
        for name, address in addresses.items():
            await self._add_proxy(f"way to {name}", address)
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": self._closing.enter_context(taking())}
        stacks = [await self._stack(*each, addresses, secrets) for each in zip(NUMBERS, (told, {}), strict=True)]
        await asyncio.to_thread(stacks[0].migrate)
        for kept in self.kept.values():
            kept.start()
        for stack in stacks:
            await asyncio.to_thread(stack.wait_until_ready)
        self.keys = await asyncio.to_thread(keys_of, stacks[0], {})

    async def _stack(self, number: str, telemetry: dict[str, str], addresses: dict[str, str], secrets: Path) -> Stack:
        url = self.mysql.url
        home, sql = self._folder / number, f"way of server {number} to mysql"
        home.mkdir()
        await self._add_proxy(sql, f"{url.host}:{url.port}")
        host, _, port = self.proxies[sql].address.rpartition(":")
        settings = {
            "TANDEM_DATABASE_URL": url.set(host=host, port=int(port), database=DATABASE).render_as_string(
                hide_password=False
            ),
            "TANDEM_WEBHOOK_SECRETS_FILE": str(secrets),
            "TANDEM_DRAIN_SECONDS": str(GRACE_SECONDS),
            "TANDEM_HTTP_GRACE_SECONDS": str(GRACE_SECONDS),
            "TANDEM_LOG_FORMAT": "json",
            **telemetry,
        }
        server, gateway = addresses[f"server {number}"], addresses[f"gateway {number}"]
        stack = Stack(home, settings, grpc=server, http=gateway, logs=home)
        stack.environment["TANDEM_GRPC"] = self.target  # what the gateway dials
        self.kept[f"server {number}"], self.kept[f"gateway {number}"] = both(stack)
        return stack

    async def _add_proxy(self, name: str, target: str) -> None:
        self.proxies[name] = proxy = Proxy(target)
        await proxy.open()

    async def keep_up(self) -> None:
        """Start again what ended, for ever, as a supervisor does: a server ends where it starts without a database."""
        while True:
            for name, kept in self.kept.items():
                code = kept.process.exit_code
                if code is not None and not self.turns[name].locked():
                    self._ledger.note(ended=name, code=code, after=time.monotonic() - kept.started)
                    kept.start()
            await asyncio.sleep(RESTART_SECONDS)

    async def recover(self) -> None:
        """Wait until every process serves, and note how long that took, and who does not in the end."""
        started = time.monotonic()
        for name, kept in self.kept.items():
            try:
                async with asyncio.timeout(UP_SECONDS):
                    await kept.wait_until_serving()
            except TimeoutError:
                self._ledger.note(down=name)
        self._ledger.note(recovered=time.monotonic() - started)

    async def stop(self) -> None:
        """End everything, and throw the database away."""
        for kept in self.kept.values():
            await asyncio.to_thread(kept.process.stop)
        for proxy in self.proxies.values():
            await proxy.close()
        await asyncio.to_thread(self._closing.close)

    def logged_errors(self) -> list[str]:
        """Return the lines in which a server or a gateway tells of something that nobody foresaw."""
        files = sorted(self._folder.glob("[12]/*.log"))
        return [line for file in files for line in file.read_text().splitlines() if '"level":"ERROR"' in line]


def both(stack: Stack) -> tuple[Kept, Kept]:
    """Return the server and the gateway of *stack*."""
    return Kept(stack.server, stack.grpc), Kept(stack.gateway, stack.http.removeprefix("http://"))


def throw_away(mysql: OwnMysql, folder: Path) -> None:
    """End *mysql*, whose data is in *folder*, and remove that."""
    mysql.thaw()
    mysql.kill()
    shutil.rmtree(folder)

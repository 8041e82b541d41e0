"""A whole Tandem as real processes: what `scripts/run` keeps in the foreground and what the tests talk to."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any

from dev_env import read_environment, write_environment
from erasure_secret import kept
from webhook_secrets import secrets_file

BIN = Path(sys.executable).parent
READY_SECONDS = 30
STOP_SECONDS = 30


class Process:
    """One of Tandem's processes, its output in a log file."""

    def __init__(self, command: str, environment: dict[str, str], log: Path | None) -> None:
        self.command = command
        self._environment = environment
        self._log = log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own so that a Ctrl-C reaches only us."""
        output = self._log.open("ab") if self._log else None
        try:
            self._running = subprocess.Popen(
                [BIN / self.command, "serve"],
                env=os.environ | self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._running.poll() if self._running else None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._running is not None
        return self._running.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._running and self._running.poll() is None:
            self._running.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code; one that does not end in time is killed."""
        if self._running is None:
            return 0
        self.send(number)
        try:
            return self._running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            return self._running.wait()


class Stack:
    """A server and a gateway on a database.

    *home* is TANDEM_HOME; *settings* are further environment variables; with *logs* each process writes a file there.
    Where TANDEM_TLS_CERT is set, both serve by TLS, and `ca` is whose certificates count; the system's by default.
    """

    def __init__(self, home: Path, settings: dict[str, str], *, grpc: str, http: str, logs: Path | None = None) -> None:
        told = os.environ | settings
        self.ca = told.get("TANDEM_GRPC_CA") or None
        self.secure = bool(told.get("TANDEM_TLS_CERT"))
        self.home, self.grpc, self.http = home, f"{'grpcs://' * self.secure}{grpc}", f"http{'s' * self.secure}://{http}"
        self.environment = settings | {
            "TANDEM_HOME": str(home),
            "TANDEM_GRPC_LISTEN": grpc,
            "TANDEM_HTTP_LISTEN": http,
            "TANDEM_GRPC": self.grpc,
        }
        self.server = Process("tandem-server", self.environment, logs and logs / "server.log")
        self.gateway = Process("tandem-gateway", self.environment, logs and logs / "gateway.log")

    def ask(self, request: str | urllib.request.Request, seconds: float = 10) -> Any:
        """Make a request to the gateway; raises URLError."""
        context = ssl.create_default_context(cafile=self.ca) if self.secure else None
        return urllib.request.urlopen(request, timeout=seconds, context=context)  # noqa: S310 - our own address

    def migrate(self) -> None:
        """Bring the database to the newest schema; raises CalledProcessError."""
        subprocess.run([BIN / "tandem-server", "migrate"], env=os.environ | self.environment, check=True, timeout=120)

    def create_admin_key(self) -> str:
        """Make a key that may do everything, by command; raises RuntimeError, saying what the command said."""
        command: list[str | Path] = [BIN / "tandem-server", "keys", "create", "--name", "admin", "--role", "admin"]
        environment = os.environ | self.environment
        made = subprocess.run(command, env=environment, check=False, timeout=120, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(made.stderr)
        return made.stdout.strip()

    def start(self) -> None:
        """Start both and wait until they are ready; raises RuntimeError where they end or take too long."""
        self.server.start()
        self.gateway.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until the gateway says that it and its server are ready."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            for process in (self.server, self.gateway):
                if process.exit_code is not None:
                    raise RuntimeError(f"{process.command} ended with code {process.exit_code}; see what it said")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Tandem is not ready after {READY_SECONDS} s")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with self.ask(f"{self.http}/readyz", seconds=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Stop the gateway, then the server."""
        self.gateway.stop()
        self.server.stop()


def greeting(stack: Stack, environment: Path) -> str:
    """Return what `scripts/run` says when all is up: three commands to try."""
    crm_key = read_environment(environment)["TANDEM_CRM_KEY"]
    trust = f"--cacert {stack.ca} " if stack.ca else ""
    key = f'{trust}-H "authorization: Bearer {crm_key}" -H "content-type: application/json"'
    customer = '{"external_id":"17850","name":"Ada"}'
    order = (
        '{"external_id":"536365","customer_external_id":"17850","currency":"GBP",'
        '"lines":[{"sku":"85123A","quantity":"6","unit_price":"2.55"}]}'
    )
    return f"""
Tandem is up: REST {stack.http}, gRPC {stack.grpc}, addresses and keys in {environment}. Try:

  curl {key} {stack.http}/v1/customers -d '{customer}'
  curl {key} {stack.http}/v1/orders -d '{order}'
  scripts/demo

Ctrl-C stops it.
"""


def main() -> int:
    """Run Tandem on the settings of the environment until a signal comes; 1 where a process ended by itself."""
    environment = dict(os.environ)
    home = Path(environment.get("TANDEM_HOME", ".tandem")).absolute()
    home.mkdir(parents=True, exist_ok=True)
    grpc = environment.get("TANDEM_GRPC_LISTEN", "127.0.0.1:50051")
    http = environment.get("TANDEM_HTTP_LISTEN", "127.0.0.1:8080")
    secrets = environment.get("TANDEM_WEBHOOK_SECRETS_FILE") or str(secrets_file(home))
    settings = {"TANDEM_WEBHOOK_SECRETS_FILE": secrets, "TANDEM_SECRET": environment.get("TANDEM_SECRET") or kept(home)}
    stack = Stack(home, settings, grpc=grpc, http=http, logs=home)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        stack.migrate()
        stack.start()
        print(greeting(stack, write_environment(stack)), flush=True)
        while stack.server.exit_code is None and stack.gateway.exit_code is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"{error}\nLogs: {home}/server.log, {home}/gateway.log", file=sys.stderr)
        return 1
    finally:
        stack.stop()
    print(f"a process ended by itself: see {home}/server.log and {home}/gateway.log", file=sys.stderr)
    return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

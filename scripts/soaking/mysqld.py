"""A MySQL server of our own, to kill: `scripts/mysql` makes it in a folder of its own, away from the shared one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy.engine import URL, make_url

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30


class OwnMysql:
    """A MySQL that dies by SIGKILL and comes back on the same data, in *folder*; RuntimeError where there is none."""

    def __init__(self, folder: Path) -> None:
        self._lend_packages(folder)
        self._environment = {name: value for name, value in os.environ.items() if name != "TANDEM_TEST_MYSQL_URL"}
        self._environment["XDG_CACHE_HOME"] = str(folder)
        self.url: URL = make_url(self._ask_script("start"))
        self._log = folder.with_suffix(".log")
        self._data = folder / f"tandem/mysql/run/{self.url.port}"
        self._pid = int((self._data / "alive").read_text())
        self._command = Path(f"/proc/{self._pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        self._process: subprocess.Popen[bytes] | None = None
        if f"--datadir={self._data}" not in self._command:
            self._ask_script("stop")
            raise RuntimeError(
                "this test kills a MySQL server of its own, so it needs the program: put a mysqld on PATH, or use "
                "Debian (amd64), whose packages scripts/mysql unpacks; one in a container cannot be killed from here"
            )

    @staticmethod
    def _lend_packages(folder: Path) -> None:
        """What scripts/mysql unpacked before need not be fetched again."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem/mysql/root"
        (folder / "tandem/mysql").mkdir(parents=True)
        if cache.exists():
            (folder / "tandem/mysql/root").symlink_to(cache)

    def _ask_script(self, action: str) -> str:
        command = [str(ROOT / "scripts/mysql"), action]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"no MySQL server of our own to kill: scripts/mysql says: {done.stderr.strip()}")
        return done.stdout.strip()

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is None:
            os.kill(self._pid, signal.SIGKILL)
            while is_running(self._pid):
                time.sleep(0.01)
        else:
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        """Start it again on what it left, and wait until it answers."""
        # It names a process that is gone, though its parent may not have looked yet: MySQL would take it for alive.
        (self._data / "server.sock.lock").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MySQL did not come back on its data: see {self._log}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        return self._process.pid if self._process else self._pid

    def freeze(self) -> None:
        """Stop it where it stands: connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill_connections(self) -> None:
        """End every connection but the one that says so, as an operator might."""
        for (thread,) in self.ask("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()"):
            with suppress(pymysql.err.MySQLError):
                self.ask(f"KILL {thread}")

    def ask(self, statement: str, database: str | None = None) -> Sequence[Any]:
        """Execute *statement* in a transaction of its own, and return its rows."""
        with (
            pymysql.connect(host=self.url.host, port=self.url.port or 0, user="root", database=database) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            connection.commit()
            return list(cursor.fetchall())

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True


def is_running(pid: int) -> bool:
    """A process that ended may stay as a zombie until its new parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

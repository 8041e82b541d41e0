"""Programs that measure from outside: `curl`, which any partner has, and MySQL's own client."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from programs import MYSQL, alone, command, unpacked
from sqlalchemy.engine import make_url

from benchmarks.databases import Database
from benchmarks.places import Place

SECONDS = 900


def download(place: Place, path: str, file: Path) -> str:
    """Let curl get *path* as whoever makes reports into *file*, and return the id of the export that it is."""
    headers = file.with_suffix(".headers")
    _curl(place, "TANDEM_REPORTS_KEY", path, "--output", str(file), "--dump-header", str(headers))
    told = dict(line.split(": ", 1) for line in headers.read_text().lower().splitlines() if ": " in line)
    return told["tandem-export-id"]


def upload(place: Place, path: str, file: Path) -> bytes:
    """Let curl post *file*, a CSV, to *path* as the CRM, and return the reply."""
    sent = ("--request", "POST", "--upload-file", str(file), "--header", "content-type: text/csv")
    return _curl(place, "TANDEM_CRM_KEY", path, *sent)


def ask(place: Place, path: str) -> bytes:
    """Return the reply to whoever makes reports."""
    return _curl(place, "TANDEM_REPORTS_KEY", path)


def mysql(database: Database, statement: str, *options: str, output: int = subprocess.DEVNULL) -> None:
    """Let MySQL's client run *statement*; like the drivers, it speaks TCP without TLS."""
    url = make_url(database.admin)
    told = ("--no-defaults", "--protocol=TCP", "--ssl-mode=DISABLED", "--get-server-public-key", *options)
    place = (f"--host={url.host}", f"--port={url.port or 3306}", f"--user={url.username or 'root'}")
    subprocess.run(
        [*_client(), *told, *place, "--default-character-set=utf8mb4", f"--execute={statement}", str(url.database)],
        env=os.environ | {"MYSQL_PWD": str(url.password or "")},
        stdout=output,
        check=True,
        timeout=SECONDS,
    )


def _curl(place: Place, key: str, path: str, *options: str) -> bytes:
    authorization = f"authorization: Bearer {place.keys[key]}"
    told = ["curl", "--silent", "--show-error", "--fail-with-body", "--header", authorization, *options]
    return subprocess.run(
        [*told, f"{place.base_url}{path}"], stdout=subprocess.PIPE, check=True, timeout=SECONDS
    ).stdout


@cache
def _client() -> tuple[str, ...]:
    """Return how to run MySQL's client: the one on PATH, or that of the packages that `scripts/mysql` unpacks."""
    path = shutil.which("mysql")
    if path and b"MariaDB" not in subprocess.run([path, "--version"], stdout=subprocess.PIPE, check=True).stdout:
        return (path,)
    with alone(MYSQL.folder):
        root = unpacked(MYSQL)
    if root is None:
        raise RuntimeError("there is no mysql, MySQL's own client, on PATH")
    return command(root, "usr/bin/mysql")

"""What `docker-compose.yml` and the Dockerfiles say, as those who read them understand it."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT

PROCESSES = {"migrate": "server", "server": "server", "gateway": "gateway"}
"""Tandem's own services, and the member each runs."""


def run_tool(name: str, *arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of `scripts/tool` on the checkout, with nothing in its environment that could speak for us."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ}
    command = [str(ROOT / "scripts/tool"), name, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=kept | environment, input=given, capture_output=True, text=True, timeout=600, check=False
    )


def compose(*profiles: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Ask Docker Compose what it makes of the file, away from any `.env` of the checkout."""
    asked = [f"--profile={profile}" for profile in profiles]
    return run_tool("docker-compose", "--env-file=/dev/null", *asked, "config", "--format=json", **environment)


def services(*profiles: str) -> dict[str, Any]:
    done = compose(*profiles, TANDEM_MYSQL_PASSWORD="served", TANDEM_MYSQL_OWNER_PASSWORD="owned")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


@functools.cache
def listed(member: str) -> list[tuple[str, str, str]]:
    """Return the settings of a process as it lists them itself: names, defaults and meanings."""
    command = [str(Path(sys.executable).parent / f"tandem-{member}"), "settings"]
    told = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=True).stdout
    return re.findall(r"^(\w+)=(.*?)  # (.*)$", told, re.MULTILINE)


def settings_of(member: str) -> dict[str, str]:
    """Return the settings of a process with their defaults."""
    return {name: default for name, default, _ in listed(member)}


def instructions(member: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions and what stands behind each."""
    lines = (ROOT / member / "Dockerfile").read_text().splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name.isupper()]

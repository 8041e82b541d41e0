"""What the Dockerfiles install is enough to run Tandem, and no more than that; tried in fresh virtual environments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from addresses import free_address
from conftest import ROOT

from .composed import instructions, services

SECONDS = 60
Environment = dict[str, str]


def build(member: str, folder: Path) -> Environment:
    """Follow the member's Dockerfile with its `/src` and `/opt` below *folder*; return the environment it leaves."""
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": os.environ["HOME"]}
    (folder / "src").mkdir()
    for instruction, told in instructions(member):
        moved = told.replace("/src", f"{folder}/src").replace("/opt", f"{folder}/opt")
        if instruction == "COPY" and not told.startswith("--from"):
            source, target = told.split()
            copy(ROOT / source, folder / "src" / target)
        elif instruction == "RUN":
            subprocess.run(["sh", "-ec", moved], cwd=folder / "src", env=environment, timeout=300, check=True)
        elif instruction == "ENV":
            for name, _, value in (pair.partition("=") for pair in moved.split()):
                environment[name] = value.replace("$PATH", environment["PATH"])
            environment.pop("PIP_NO_CACHE_DIR", None)  # an image keeps no cache; a test need not fetch all of it again
    return environment


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what `.dockerignore` leaves out of it."""
    if source.is_file():
        shutil.copy(source, target)
    else:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "gen", "gen.*"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environment]:
    return {member: build(member, tmp_path_factory.mktemp(member)) for member in ("server", "gateway")}


@pytest.mark.parametrize(
    ("member", "foreign"), [("server", ["aiohttp", "tandem_gateway"]), ("gateway", ["sqlalchemy", "tandem_server"])]
)
def test_nothing_of_the_other_process_is_in_it(images: dict[str, Environment], member: str, foreign: list[str]) -> None:
    look = f"import importlib.util as i; print([name for name in {foreign} if i.find_spec(name)])"
    done = subprocess.run(
        ["python", "-c", look], env=images[member], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert done.stdout == "[]\n"


@contextmanager
def running(member: str, environment: Environment) -> Iterator[None]:
    """Run what the image runs, until its health check as composed is content; at the end it stops by itself."""
    said = dict(instructions(member))
    command = [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]
    process = subprocess.Popen(command, env=environment)
    try:
        _, *check = services()[member]["healthcheck"]["test"]
        addresses = {"127.0.0.1:50051": "TANDEM_GRPC_LISTEN", "127.0.0.1:8080": "TANDEM_HTTP_LISTEN"}
        for address, setting in addresses.items():
            check[-1] = check[-1].replace(address, environment[setting])
        wait_for(check, environment)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def wait_for(check: list[str], environment: Environment) -> None:
    deadline = time.monotonic() + SECONDS
    while (
        done := subprocess.run(check, env=environment, capture_output=True, timeout=SECONDS, check=False)
    ).returncode:
        assert time.monotonic() < deadline, done.stderr


def test_they_start_and_their_health_checks_find_them_well(images: dict[str, Environment], tmp_path: Path) -> None:
    grpc, http = free_address(), free_address()
    told = {"TANDEM_HOME": str(tmp_path), "TANDEM_GRPC_LISTEN": grpc, "TANDEM_HTTP_LISTEN": http, "TANDEM_GRPC": grpc}
    server, gateway = images["server"] | told, images["gateway"] | told
    subprocess.run(["tandem-server", "migrate"], env=server, timeout=SECONDS, check=True)
    with running("server", server), running("gateway", gateway):
        pass

"""Two servers with a gateway each on one MySQL; whoever dials one finds the other."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from addresses import free_address
from conftest import Party
from known_keys import add_keys
from soaking.mysqld import OwnMysql
from soaking.restarts import Doors
from soaking.soak import own_mysql
from stack import Stack

GRACE_SECONDS = 5


class Pair:
    """The two, and how a client dials both."""

    def __init__(self, url: str, folder: Path) -> None:
        addresses = [free_address(), free_address()]
        self.target = f"ipv4:{','.join(addresses)}"
        self.stacks = [self._stack(url, folder / str(number), address) for number, address in enumerate(addresses)]
        self.stacks[0].migrate()
        add_keys(url)
        for stack in self.stacks:
            start(stack)

    def _stack(self, url: str, home: Path, address: str) -> Stack:
        home.mkdir()
        settings = {
            "TANDEM_DATABASE_URL": url,
            "TANDEM_ROUTES": "p0=e0",
            "TANDEM_DRAIN_SECONDS": str(GRACE_SECONDS),
            "TANDEM_HTTP_GRACE_SECONDS": str(GRACE_SECONDS),
        }
        stack = Stack(home, settings, grpc=address, http=free_address(), logs=home)
        stack.environment["TANDEM_GRPC"] = self.target  # what the gateway dials
        return stack

    @property
    def party(self) -> Party:
        return Party(self.stacks[0], "p0", "e0")

    @property
    def doors(self) -> Doors:
        return Doors(self.target, [stack.http for stack in self.stacks], self.party.crm_key, self.party.erp_key)

    def stop(self) -> None:
        for stack in self.stacks:
            stack.stop()


def start(stack: Stack) -> None:
    stack.start()
    wait_until_up(stack)


def wait_until_up(stack: Stack) -> None:
    """Wait until both of *stack* serve: its gateway's readiness may have asked the other server."""
    stack.wait_until_ready()
    host, port = stack.grpc.split(":")
    for _ in range(600):
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"no server listens on {stack.grpc}")


@pytest.fixture(scope="session")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMysql]:
    """A MySQL that only these tests have, to kill."""
    with own_mysql(tmp_path_factory.mktemp("mysql") / "own") as mysql:
        yield mysql


@pytest.fixture(scope="module")
def running_pair(make_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(make_database("mysql"), tmp_path_factory.mktemp("pair"))
    yield pair
    pair.stop()


@pytest.fixture
def pair(running_pair: Pair) -> Iterator[Pair]:
    """The two; a test may stop the first, which runs again afterwards however the test went."""
    yield running_pair
    running_pair.stacks[0].stop()
    start(running_pair.stacks[0])

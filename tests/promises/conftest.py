"""What tests of promises share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stack import Stack


@pytest.fixture(scope="module")
def stacks(stack: Stack, make_stack: Callable[..., Stack], database: str) -> list[Stack]:
    """Two servers on one MySQL; SQLite has one."""
    if database == "sqlite":
        return [stack, stack]
    return [stack, make_stack(stack.environment["TANDEM_DATABASE_URL"])]


CONNECTIONS, IDLE_SECONDS, WRITE_SECONDS, BUFFER_BYTES = 100, 2, 2, 16 << 20


@pytest.fixture(scope="session")
def narrow(make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack whose limits are soon reached."""
    return make_stack(
        make_database("sqlite"),
        http_connections=str(CONNECTIONS),
        grpc_connections=str(CONNECTIONS),
        http_idle_seconds=str(IDLE_SECONDS),
        http_write_seconds=str(WRITE_SECONDS),
        http_buffer_bytes=str(BUFFER_BYTES),
    )

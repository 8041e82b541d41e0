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

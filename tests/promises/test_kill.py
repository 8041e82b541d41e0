"""Promises 1 and 3 under `kill -9`: what was said to be done is done, and nobody holds what another holds."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

from conftest import change_database, new_party
from stack import Stack

from .load import MOST_SECONDS, Ledger, Load, check

ORDERS = 1000
KILLS = 10
HURRY = "UPDATE deliveries SET available_at = lease_expires_at WHERE lease_token IS NOT NULL"


async def test_promise_1_what_was_said_to_be_done_survives_kill_9(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    """The server is killed ten times in the middle of 1,000 creates and of a pull."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - whoever sees a failure needs it
    random.seed(seed)
    stack = make_stack(make_database(database))
    ledger = Ledger(tmp_path / "ledger.jsonl")
    load = Load(new_party(stack), [stack.grpc], ledger, ORDERS, random.sample(range(1, ORDERS), KILLS))
    async with asyncio.timeout(MOST_SECONDS), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(load.run(lambda: change_database(stack, HURRY)))
        for _ in range(KILLS):
            await load.due.acquire()
            await asyncio.sleep(random.uniform(0, 0.05))
            stack.server.stop(signal.SIGKILL)
            stack.server.start()
    await load.close()
    check(ledger, running.result(), ORDERS)
    stack.stop()

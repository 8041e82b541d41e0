"""What is long goes on between what is short."""

from __future__ import annotations

import asyncio

import pytest

from tandem_server.turns import IN_THE_WAY, ROUNDS, others_first


@pytest.mark.parametrize(("in_the_way", "rounds"), [(False, ROUNDS), (True, 1)])
async def test_short_work_goes_before_long_work_unless_that_is_in_the_way(in_the_way: bool, rounds: int) -> None:
    pieces: list[int] = []

    async def work() -> None:
        IN_THE_WAY.set(in_the_way)
        while True:
            await others_first()
            pieces.append(1)

    working = asyncio.create_task(work())
    for _ in range(100 * rounds):
        await asyncio.sleep(0)
    assert 98 <= len(pieces) <= 100
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

"""Writes that come at the same time, seen without a database."""

from __future__ import annotations

from collections.abc import Sequence

from tandem_server.usecases.grouping import Grouping


class Order:
    """What is in an order takes milliseconds to print, and nobody is to read it in a log."""

    def __repr__(self) -> str:
        raise AssertionError("an order was printed")


async def test_nobody_prints_an_order_to_see_that_it_is_done() -> None:
    async def work(orders: Sequence[Order]) -> Sequence[int]:
        return [1 for _ in orders]

    grouping: Grouping[Order, int] = Grouping(work, lambda _: 1)
    assert await grouping.add("crm", Order()) == 1

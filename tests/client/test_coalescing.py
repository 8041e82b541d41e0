"""Small calls that travel together."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from tandem_client.coalescing import LIMIT, Coalesced
from tandem_proto.errors import InvalidArgument, Unavailable


class Doubling:
    """A call for many numbers, which can be held up."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(numbers))
        await self.open.wait()
        if any(number < 0 for number in numbers):
            raise InvalidArgument("below zero")
        if any(number > 1000 for number in numbers):
            raise Unavailable("not now")
        return [2 * number for number in numbers]


async def test_each_gets_its_own_result() -> None:
    double = Coalesced(Doubling())
    assert await asyncio.gather(*(double(n) for n in range(100))) == [2 * n for n in range(100)]


async def test_one_alone_goes_at_once() -> None:
    doubling = Doubling()
    assert await Coalesced(doubling)(1) == 2
    assert doubling.calls == [[1]]


async def test_those_that_come_during_a_call_go_together() -> None:
    doubling = Doubling()
    doubling.open.clear()
    double = Coalesced(doubling)
    first = asyncio.create_task(double(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(double(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0.01)
    doubling.open.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert doubling.calls == [[1], [2, 3, 4]]


async def test_a_call_is_never_larger_than_the_limit() -> None:
    doubling = Doubling()
    double = Coalesced(doubling)
    await asyncio.gather(*(double(1) for _ in range(2 * LIMIT + 1)))
    assert [len(call) for call in doubling.calls] == [LIMIT, LIMIT, 1]


async def test_a_wrong_one_does_not_spoil_its_neighbours() -> None:
    double = Coalesced(Doubling())
    first, wrong, last = await asyncio.gather(double(1), double(-1), double(3), return_exceptions=True)
    assert (first, last) == (2, 6)
    assert isinstance(wrong, InvalidArgument)


async def test_a_call_that_fails_fails_for_all_and_the_next_one_works() -> None:
    double = Coalesced(Doubling())
    results = await asyncio.gather(double(1), double(1001), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert await double(2) == 4


async def test_a_caller_that_leaves_takes_nothing_back() -> None:
    doubling = Doubling()
    double = Coalesced(doubling)
    leaving = asyncio.create_task(double(1))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await double(2) == 4
    assert doubling.calls == [[1, 2]]


async def test_a_call_that_fails_when_all_have_left_is_no_news() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    double = Coalesced(Doubling())
    leaving = asyncio.create_task(double(1001))
    await asyncio.sleep(0)
    leaving.cancel()
    await double.close()
    del leaving, double
    gc.collect()
    assert told == []


async def test_closing_waits_for_what_is_under_way() -> None:
    doubling = Doubling()
    double = Coalesced(doubling)
    result = asyncio.create_task(double(1))
    await asyncio.sleep(0)
    await double.close()
    assert result.done() or await result == 2


async def test_closing_in_a_hurry_cancels_it() -> None:
    doubling = Doubling()
    doubling.open.clear()
    double = Coalesced(doubling)
    result = asyncio.create_task(double(1))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(double.close(), 0.01)
    with pytest.raises(asyncio.CancelledError):
        await result

"""Callers that call again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks.clocks import stretch
from benchmarks.places import Call
from benchmarks.results import Reading

WARM_SECONDS = 0.5


async def keep_calling(calls: Sequence[Call], seconds: float, pids: Mapping[str, int]) -> Reading:
    """Let each of *calls* be made over and over for *seconds*, all at once, after a moment to get warm."""
    await _all_for(calls, WARM_SECONDS)
    with stretch(pids) as seen:
        durations = await _all_for(calls, seconds)
    return seen.pace(durations)


async def keep_pace(
    calls: Mapping[str, Call], rate: float, seconds: float, pids: Mapping[str, Mapping[str, int]]
) -> dict[str, Reading]:
    """Make each of *calls* at an even pace of *rate* a second, whatever those before take: what disturbs one, all meet.

    There is a moment to get warm; *pids* are those that work for each.
    """
    await _paced(calls, rate, WARM_SECONDS)
    with ExitStack() as context:
        seen = {name: context.enter_context(stretch(pids[name])) for name in calls}
        durations = await _paced(calls, rate, seconds)
    return {name: seen[name].pace(durations[name]) for name in calls}


async def call_times(call: Call, count: int, pids: Mapping[str, int]) -> Reading:
    """Make *call* so many times, one after the other, once before to get warm."""
    await call()
    with stretch(pids) as seen:
        durations = [await _timed(call) for _ in range(count)]
    return seen.pace(durations)


async def _all_for(calls: Sequence[Call], seconds: float) -> list[float]:
    end = time.perf_counter() + seconds
    durations: list[float] = []

    async def caller(call: Call) -> None:
        while time.perf_counter() < end:
            durations.append(await _timed(call))

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(caller(call))
    return durations


async def _paced(calls: Mapping[str, Call], rate: float, seconds: float) -> dict[str, list[float]]:
    started = time.perf_counter()
    made: dict[str, list[asyncio.Task[float]]] = {name: [] for name in calls}
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            for place, (name, call) in enumerate(calls.items()):
                turn = (number + place / len(calls)) / rate
                await asyncio.sleep(started + turn - time.perf_counter())
                made[name].append(group.create_task(_timed(call)))
    return {name: [call.result() for call in each] for name, each in made.items()}


async def _timed(call: Call) -> float:
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started

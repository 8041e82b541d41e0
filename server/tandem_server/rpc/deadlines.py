"""How long a call may take, and when a caller whose time runs out is to come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tandem_proto.errors import DeadlineExceeded, TandemError, Unavailable
from tandem_server.rpc.calls import Context

PUSHBACK = "grpc-retry-pushback-ms"
"""When a client of gRPC is to repeat a call (gRFC A6), which does not read RetryInfo."""

MARGIN_SECONDS = 0.2
"""How long before its deadline a call is answered at the latest."""


@asynccontextmanager
async def in_time(context: Context, request: Callable[[], Any], most_seconds: float) -> AsyncIterator[None]:
    """End a unary call a moment before its deadline, or after *most_seconds*.

    One whose *request* waits on purpose has run out of time, DEADLINE_EXCEEDED; with any other the database was too
    slow, which is UNAVAILABLE and has a time to come again.
    """
    left = context.time_remaining()
    seconds = most_seconds if left is None else min(most_seconds, max(0.0, left - MARGIN_SECONDS))
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        if getattr(request(), "wait_seconds", 0):
            raise DeadlineExceeded("the call's time ran out: repeat it") from None
        message = f"the database was too slow for the {seconds:.1f} s of this call: outcome unknown, repeat it"
        raise Unavailable(message, reason="DATABASE_SLOW", retry_after=1) from None


def pushback(context: Context, error: TandemError) -> tuple[tuple[str, str], ...]:
    """Return the metadata that tells gRPC's own retry when to come.

    It is not to come at all where the deadline would pass in between: the caller would never see the error.
    """
    if error.retry_after is None:
        return ()
    left = context.time_remaining()
    late = left is not None and left < error.retry_after + 1
    return ((PUSHBACK, "-1" if late else str(round(error.retry_after * 1000))),)

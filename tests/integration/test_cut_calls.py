"""A call whose caller leaves in the middle of its requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tandem_server.rpc.calls import whole


class Left:
    """What gRPC gives a call whose caller has left: the next thing that is sent fails."""

    async def send_initial_metadata(self, _metadata: Any) -> None:
        raise grpc.aio.InternalError("the batch failed")


async def requests() -> AsyncIterator[Any]:
    yield "a request"


async def test_requests_that_end_because_their_caller_left_do_not_end_cleanly() -> None:
    """Whichever comes first: what gRPC tells of the cancel, or the failure of what is sent meanwhile."""
    context: Any = Left()
    with pytest.raises(asyncio.CancelledError):
        async for _ in whole(requests(), context):
            pass

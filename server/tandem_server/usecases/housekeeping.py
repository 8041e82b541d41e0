"""What a server does now and then on its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from itertools import count
from typing import Any

from tandem_server.domain.principals import Caller
from tandem_server.storage.database import Database
from tandem_server.usecases.backlog import Gauges
from tandem_server.usecases.forgetting import RULES, forget
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.parking import settle, settle_overdue
from tandem_server.usecases.queues import happens
from tandem_server.usecases.tasks import Tasks

log = logging.getLogger(__name__)

SECONDS = 10.0
"""The pause between two rounds."""
SELDOM = 6
"""What nobody waits for is done in every sixth round."""


class Housekeeping:
    """Looks for what was left over, every 10 s and where told to, and every minute deletes what is too old.

    Replicas may all do so at once.
    """

    def __init__(
        self, database: Database, keys: KeyRing, gauges: Gauges | None = None, *, seconds: float = SECONDS
    ) -> None:
        self._database = database
        self._keys = keys
        self._gauges = gauges
        self._seconds = seconds
        self._tasks = Tasks()
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Begin with the rounds."""
        self._tasks.spawn(self._rounds())
        self._tasks.spawn(self._forgetting())

    def settle(self, caller: Caller, documents: Sequence[str]) -> None:
        """Look again for *documents* that updates were parked for; returns at once."""
        self._tasks.spawn(_logged(settle(self._database, caller, documents)))

    async def close(self) -> None:
        """End the rounds."""
        self._closing.set()
        await self._tasks.close()
        await _logged(self._keys.note_use())

    async def _rounds(self) -> None:
        for number in count():
            if self._closing.is_set():
                return
            await _logged(settle_overdue(self._database))
            if number % SELDOM == 0:
                await _logged(self._keys.note_use())
            if self._gauges is not None:
                await _logged(self._gauges.refresh())
            await happens(self._closing, self._seconds)

    async def _forgetting(self) -> None:
        """Apart from the rounds: what has grown old meanwhile may take long, and nobody waits for it."""
        while not self._closing.is_set():
            for rule in RULES:
                await _logged(forget(self._database, rule, self._closing))
            await happens(self._closing, SELDOM * self._seconds)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # the next round tries again
        log.warning("housekeeping failed, trying again later", exc_info=True)

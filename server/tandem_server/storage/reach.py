"""Whether the database can be reached, so that nobody waits for one that cannot."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tandem_proto.errors import TandemError
from tandem_server.storage import refusals
from tandem_server.storage.dialects import Fault

if TYPE_CHECKING:
    from tandem_server.storage.database import Database

log = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
"""How long the database may take for next to nothing."""
FRESH_SECONDS = 0.5
"""How long its last answer counts."""


class Reach:
    """What is known of it: when a unit of work last succeeded, and whether a probe has failed since."""

    def __init__(self) -> None:
        self._answered = 0.0
        self._lost = False

    def note(self) -> None:
        """A unit of work succeeded."""
        self._answered, self._lost = asyncio.get_running_loop().time(), False

    def require(self) -> None:
        """Raise Unavailable while the database does not answer."""
        if self._lost:
            raise refusals.given_up(Fault.LOST)

    async def probe(self, database: Database) -> bool:
        """Tell whether *database* answers within 2 s; where it just did, it is not asked."""
        if asyncio.get_running_loop().time() - self._answered > FRESH_SECONDS:
            self._lost = not await _answers(database)
        return not self._lost


async def _answers(database: Database) -> bool:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await database.watch(lambda tx: tx.rows(text("SELECT 1")))
    except (TandemError, SQLAlchemyError, OSError, TimeoutError):
        return False
    except Exception:  # who follows the database must not stop: nobody would learn that it is back
        log.exception("unexpected error while the database was asked whether it answers")
        return False
    return True

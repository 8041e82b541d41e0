"""Who calls, by their keys: what the process knows of them, a few seconds old at most."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass

from tandem_proto.errors import Unauthenticated
from tandem_server.domain.keys import digest, id_in
from tandem_server.domain.principals import Principal, scopes_of
from tandem_server.storage import keys
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases.tasks import Tasks


@dataclass(frozen=True)
class Known:
    """What is known of one key: why it does not count any more, if so, and for how many seconds that holds."""

    digest: str
    principal: Principal
    ended: str
    seconds: float


class KeyRing:
    """Tells whose a key is, and looks a key up again when what is known of it is *seconds* old."""

    def __init__(self, database: Database, seconds: float) -> None:
        self.seconds = seconds
        self._database = database
        self._known: dict[str, tuple[Known, float]] = {}  # by the key's id, with the loop's time until which it holds
        self._looking: dict[str, asyncio.Task[Known]] = {}
        self._used: set[str] = set()
        self._tasks = Tasks()

    async def principal(self, text: str) -> Principal:
        """Return whose key *text* is. Raises Unauthenticated, and where the database must be asked what that raises."""
        key_id = id_in(text)
        if key_id is None:
            raise _unknown()
        known = await self._look_up(key_id)
        if not hmac.compare_digest(known.digest, digest(text)):
            raise _unknown()
        if known.ended:
            raise Unauthenticated(f"the key is {known.ended}", reason=f"KEY_{known.ended.upper()}")
        self._used.add(key_id)
        return known.principal

    def forget(self, key_id: str) -> None:
        """Look a key up again at its next call, since it has changed."""
        self._known.pop(key_id, None)

    async def note_use(self) -> None:
        """Write down which keys were used since the last time."""
        used, self._used = self._used, set()
        if used:
            await self._database.write(lambda tx: keys.note_use(tx, used))

    async def close(self) -> None:
        """End the background work."""
        await self._tasks.close()

    async def _look_up(self, key_id: str) -> Known:
        """Return what is known of a key; all who wait for the same share one look into the database."""
        known, until = self._known.get(key_id, (None, 0.0))
        if known is not None and asyncio.get_running_loop().time() < until:
            return known
        looking = self._looking.get(key_id)
        if looking is None:
            looking = self._looking[key_id] = self._tasks.spawn(self._look(key_id))
            looking.add_done_callback(lambda task: self._looked(key_id, task))
        return await asyncio.shield(looking)

    async def _look(self, key_id: str) -> Known:
        started = asyncio.get_running_loop().time()
        known = await self._database.read(lambda tx: _read(tx, key_id, self.seconds))
        self._known[key_id] = known, started + known.seconds
        return known

    def _looked(self, key_id: str, task: asyncio.Task[Known]) -> None:
        self._looking.pop(key_id)
        if not task.cancelled() and task.exception() is not None:
            self.forget(key_id)


async def _read(tx: Transaction, key_id: str, seconds: float) -> Known:
    """Read a key, which is known for as many seconds, or until it expires. Raises Unauthenticated if there is none."""
    row = await keys.find(tx, key_id)
    if row is None:
        raise _unknown()
    left = seconds if row.expires_at is None else (row.expires_at - await tx.now()).total_seconds()
    ended = "revoked" if row.revoked_at else "expired" if left <= 0 else ""
    principal = Principal(row.name, row.source, row.erp, scopes_of(row.roles), key_id)
    return Known(row.digest, principal, ended, seconds if ended else min(left, seconds))


def _unknown() -> Unauthenticated:
    return Unauthenticated("the key is not known", reason="UNKNOWN_KEY")

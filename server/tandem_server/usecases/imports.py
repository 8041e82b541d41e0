"""Imports of customers: begun, sent once or many times, and ended once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from tandem_proto.errors import Aborted, FailedPrecondition, FieldViolation, InvalidArgument, TandemError
from tandem_server.domain.imports import WHOLE_BYTES, WHOLE_ROWS, Chunk, Options, chained
from tandem_server.domain.principals import Caller
from tandem_server.storage import imports
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.imports import Key
from tandem_server.usecases.import_rows import Given, Prepared, store

NO_ROWS = dict.fromkeys(("created", "updated", "unchanged", "failed", "ambiguous", "not_reached"), 0)

ROWS_KEPT = timedelta(days=90)
"""How long it is known what became of the rows of an import that gets no further."""


class ImportRun:
    """One sender's attempt at an import: it goes on where the one before stopped, and ends when a later one begins.

    `begin`, then `take` every chunk from the first row on, then ask for the `result`. Each raises Unavailable where the
    database is out of reach, and Aborted with reason IMPORT_TAKEN_OVER once another sender has begun.
    """

    def __init__(self, database: Database, caller: Caller, options: Options) -> None:
        self._database = database
        self._caller = caller
        self._options = options
        self._key = Key(caller.source, options.id)
        self._runner = secrets.token_hex(8)
        self._chain = ""
        self._header: Sequence[str] = ()
        self._begun: Any = None
        self._next_row = 1
        self._held: list[Given] = []
        self._held_bytes = 0
        self._writing: asyncio.Task[None] | None = None

    async def begin(self, seed: str, header: Sequence[str], separator: str) -> None:
        """Begin or go on; *seed* tells all that gives rows their meaning, as the header does."""
        self._chain, self._header = seed, header
        told = {"mode": self._options.mode, "dry_run": self._options.dry_run, "header": header, "separator": separator}
        anew = {
            "state": "RUNNING",
            "runner": self._runner,
            "next_row": 1,
            "chain": seed,
            "error": "",
            **told,
            **NO_ROWS,
        }

        async def unit(tx: Transaction) -> Any:
            found = await imports.find(tx, *reversed(self._key), lock=True)
            if not found:
                await imports.add(tx, self._key, anew)
            elif found[0].next_row == 1 and found[0].state in ("RUNNING", "FAILED"):
                await imports.change(tx, self._key, anew | {"finished_at": None, "rows_deleted_at": None})
            elif found[0].state == "RUNNING" and not await rows_are_known(tx, found[0]):
                raise _too_old(self._key.id)
            elif found[0].state == "RUNNING":
                await imports.change(tx, self._key, {"runner": self._runner, "not_reached": 0})
            return (await imports.find(tx, *reversed(self._key)))[0]

        self._begun = await self._database.write(unit)
        self._next_row = self._begun.next_row

    async def take(self, chunk: Chunk) -> None:
        """Store the rows of *chunk*, or compare them with what was stored before.

        Raises FailedPrecondition with reason IMPORT_CONTENT_CHANGED where they are not the same, and InvalidArgument
        for more rows than ALL_OR_NOTHING takes. Returns while the rows are still being written.
        """
        self._chain = chained(self._chain, chunk.digest) if chunk.count else self._chain
        if chunk.first < self._begun.next_row or self._begun.state != "RUNNING":
            self._compare(chunk)
            return
        if chunk.count:
            self._held.append(Given(chunk.first, await chunk.rows(), chunk.original, self._header))
            self._held_bytes += chunk.size
        if self._options.whole and (chunk.after > WHOLE_ROWS + 1 or self._held_bytes > WHOLE_BYTES):
            raise _too_large()
        if not self._options.whole or chunk.last:
            await self._store(chunk)

    async def result(self) -> Any:
        """Return the import's row, after everything that was taken is committed."""
        await self._settled()
        return (await self._database.read(lambda tx: imports.find(tx, *reversed(self._key))))[0]

    async def end(self, error: TandemError | None, received: int) -> None:
        """Note why the attempt ended before its result, and that *received* rows had come by then."""
        with suppress(TandemError):
            await self._settled()
        with suppress(TandemError):
            if self._begun is None:
                await self.begin("", [], "")
            refused = isinstance(error, InvalidArgument) and self._next_row == 1
            lost = {"not_reached": max(0, received + 1 - self._next_row)}
            failed = {"state": "FAILED", "error": str(error)}
            mine = {"runner": self._runner, "state": "RUNNING", "next_row": self._next_row}
            await self._database.write(lambda tx: imports.change(tx, self._key, failed if refused else lost, **mine))

    def _compare(self, chunk: Chunk) -> None:
        known = self._begun
        if chunk.after < known.next_row and not chunk.last:
            return
        if (chunk.after, self._chain) != (known.next_row, known.chain):
            message = f"this file does not begin with what was imported as {known.id} before: choose another id for it"
            raise FailedPrecondition(message, reason="IMPORT_CONTENT_CHANGED")

    async def _store(self, chunk: Chunk) -> None:
        """Write what is held once the rows before are written, and do not wait for that."""
        rows, self._held = Prepared(self._key, self._held), []
        first, reached = self._next_row, {"next_row": chunk.after, "chain": self._chain}

        async def unit(tx: Transaction) -> None:
            if not await imports.hold(tx, self._key, self._runner, first):
                raise Aborted("somebody else began to send this import", reason="IMPORT_TAKEN_OVER")
            stored = await store(tx, self._caller, self._options, rows)
            await imports.advance(tx, self._key, reached, stored.numbers)
            if chunk.last:
                await imports.finish(tx, self._key, aborted=stored.aborted)

        await self._settled()
        self._writing = asyncio.create_task(self._database.write(unit))
        self._writing.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._next_row = chunk.after

    async def _settled(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)  # whoever waits may be cancelled: the rows are committed all the same


async def rows_are_known(tx: Transaction, row: Any) -> bool:
    """Tell whether it is still known what became of the rows of the import of *row*."""
    return bool(row.updated_at > await tx.now() - ROWS_KEPT)


def _too_old(import_id: str) -> FailedPrecondition:
    message = f"{import_id} was cut off {ROWS_KEPT.days} days ago: choose another id to import the file from its start"
    return FailedPrecondition(message, reason="IMPORT_TOO_OLD")


def _too_large() -> InvalidArgument:
    message = f"ALL_OR_NOTHING takes at most {WHOLE_ROWS} rows and {WHOLE_BYTES >> 20} MiB"
    return InvalidArgument(message, reason="IMPORT_TOO_LARGE", fields=[FieldViolation("mode", message)])

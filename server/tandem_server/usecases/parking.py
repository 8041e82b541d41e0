"""Status updates that wait for their document: parked when they come too early, applied once an order has it.

Whoever tells of a document and whoever acknowledges it may do so at the same time, and see nothing of each other. So
an update is parked and committed, and only then its document is looked for again (`settle`); who acknowledges gives
the order its document, and then looks for what is parked (`apply_parked`). Whichever comes last finds the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from tandem_server.domain.principals import Caller, Principal
from tandem_server.storage import deliveries, erp_events, status_updates
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases.held import hold, store
from tandem_server.usecases.statuses import tell_parked

MOST = 500
"""Updates that one transaction applies."""

LOOK_BACK = timedelta(days=1)
"""How long after it was parked an update is looked at though nothing happened: what nobody ever acknowledges, as an
order that did not come from Tandem, costs nothing for ever. An acknowledgement finds it however late it comes."""


async def apply_parked(tx: Transaction, caller: Caller, owners: Mapping[str, str]) -> None:
    """Apply what is parked for the documents of *owners*, which are the ids of orders by document."""
    documents = await status_updates.parked_documents(tx, caller.erp, owners) if owners else []
    if not documents:
        return
    found = await hold(tx, caller.erp, (owners[document] for document in documents))
    rows = await status_updates.parked(tx, caller.erp, documents, MOST)
    outcomes = {row.event_id: tell_parked(found[owners[row.erp_document]], row) for row in rows}
    await store(tx, caller, found.values())
    await status_updates.unpark(tx, caller.erp, owners, outcomes)
    await erp_events.unpark(tx, caller.erp, {row.event_id: owners[row.erp_document] for row in rows}, outcomes)


async def settle(database: Database, caller: Caller, documents: Sequence[str]) -> None:
    """Apply what is parked for those of *documents* that an order has by now.

    An acknowledgement that is about to be committed is waited for, before anything of ours is locked.
    """
    owners = await database.read(lambda tx: deliveries.owners(tx, caller.erp, documents, wait=True))
    await database.write(lambda tx: apply_parked(tx, caller, owners))


async def settle_overdue(database: Database) -> None:
    """Apply what is still parked though an order has its document: where a server died in between, or is a cluster."""
    while found := await database.read(_overdue):
        for erp, documents in found.items():
            caller = Caller(Principal("tandem", source=None, erp=erp, scopes=frozenset()))
            await settle(database, caller, documents)


async def _overdue(tx: Transaction) -> dict[str, list[str]]:
    return await status_updates.overdue(tx, await tx.now() - LOOK_BACK, MOST)

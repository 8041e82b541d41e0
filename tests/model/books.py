"""The model of everything: the orders by their ids, whose document is whose, and what the ERP told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .table import Row


class Told(NamedTuple):
    """A status update without its event id; it names the order either by *order_id* or by *document*."""

    order_id: str
    document: str
    status: str
    invoice: str


class Lease(NamedTuple):
    """What a delivery says."""

    order_id: str
    kind: str
    revision: int
    acked_revision: int
    attempt: int
    note: str


@dataclass
class Books:
    """What there should be."""

    rows: dict[str, Row] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)

    def owner_of(self, document: str) -> str:
        return next((order_id for order_id, row in self.rows.items() if document and row.document == document), "")

    def claim(self, limit: int, token: str) -> list[Lease]:
        """Lease up to *limit* orders, those that waited longest first; look again where all of them were buried."""
        while True:
            waiting = [(row.available, each) for each, row in self.rows.items() if row.state == "WAITING"]
            taken = [order_id for _, order_id in sorted(waiting)[:limit]]
            for order_id in taken:
                self.rows[order_id].claim(token)
            leased = [each for each in taken if not self.rows[each].dead]
            if leased or not taken:
                return [self.lease(each) for each in leased]

    def lease(self, order_id: str) -> Lease:
        row = self.rows[order_id]
        return Lease(order_id, row.kind, row.revision, row.acked_revision, row.attempts, row.note)

    def acknowledge(self, order_id: str, token: str, document: str, now: int) -> str:
        row, owner = self.rows[order_id], self.rows.get(self.owner_of(document))
        return row.acknowledge(token, document, owner, now)

    def apply_parked(self) -> None:
        """Tell orders what waited for their documents."""
        for event_id in [each for each in self.parked if self.owner_of(self.told[each].document)]:
            told = self.told[event_id]
            self.rows[self.owner_of(told.document)].tell(told.status, told.invoice)
            self.parked.remove(event_id)

    def tell(self, event_id: str, told: Told) -> tuple[str, str, str, bool]:
        """Return what became of an update, with the order's id and status after it, and whether it waits."""
        order_id = told.order_id or self.owner_of(told.document)
        row = self.rows.get(order_id)
        if event_id in self.told:
            outcome = "DUPLICATE" if self.told[event_id] == told else "EVENT_ID_REUSED"
        elif row is None and told.order_id:
            return "NOT_FOUND", "", "UNSPECIFIED", False
        else:
            outcome = row.tell(told.status, told.invoice) if row else "PARKED"
            self.told[event_id] = told
            if row is None:
                self.parked.append(event_id)
        parked = outcome in ("PARKED", "DUPLICATE") and event_id in self.parked
        return outcome, order_id if row else "", row.status if row else "UNSPECIFIED", parked

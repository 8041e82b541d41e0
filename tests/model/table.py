"""The table of deliveries as a model: what each event does to an order, in the design's words.

Time is a count of steps. `available` is NULL (None), the past (the step at which the order became claimable, by which
those who wait are served in turn) or the FUTURE; `alive` is whether the lease has not run out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FUTURE = math.inf
MAX_FAILURES = 3
STATUSES = (
    *("NEW", "ACKNOWLEDGED", "PROCESSING", "PARTIALLY_SHIPPED", "SHIPPED", "DELIVERED", "RETURNED", "REJECTED"),
    "CANCELLED",
)
AMENDABLE = STATUSES[:3]
CANCELLABLE = STATUSES[:4]


@dataclass
class Row:
    """One order with its row of `deliveries`; a method is a row of the table of events."""

    note: str
    available: float | None
    first_note: str = ""
    revision: int = 1
    leased_revision: int = 0
    acked_revision: int = 0
    token: str | None = None
    alive: bool = False
    acked_token: str | None = None
    attempts: int = 0
    failures: int = 0
    dead: bool = False
    status: str = "NEW"
    document: str = ""
    cancel_requested: bool = False
    invoices: set[str] = field(default_factory=set)

    @property
    def state(self) -> str:
        """What `available` and `token` mean together."""
        if self.dead:
            return "DEAD"
        if self.available is None:
            return "DONE"
        if self.available < FUTURE:
            return "WAITING"
        return "LEASED" if self.alive else "BACKING_OFF"

    @property
    def kind(self) -> str:
        if self.cancel_requested:
            return "CANCELLED"
        return "CHANGED" if self.acked_revision else "NEW"

    @property
    def went_on(self) -> bool:
        return self.revision > self.leased_revision

    @property
    def calls_off(self) -> bool:
        return self.cancel_requested and not self.went_on

    def _end_lease(self, available: float | None) -> None:
        self.token, self.alive, self.available = None, False, available

    def claim(self, token: str) -> None:
        """Lease the order, or bury it where it was leased too often (then its last token stays good)."""
        if self.token is not None:
            self.failures = 0 if self.went_on else self.failures + 1
            if self.failures >= MAX_FAILURES:
                self.dead, self.available = True, None
                return
        self.attempts += 1
        self.leased_revision = self.revision
        self.token, self.alive, self.available = token, True, FUTURE

    def revise(self, now: int) -> None:
        """Amend or cancel: revision + 1; nothing else while a lease lives, else claimable now and starting over."""
        self.revision += 1
        if not self.alive:
            waits = self.available is not None and self.available < FUTURE
            self.available = self.available if waits else now
            self.failures, self.dead = 0, False

    def amend(self, note: str, now: int) -> str:
        if note == self.note:
            return "UNCHANGED"
        if self.status not in AMENDABLE:
            return "ORDER_NOT_AMENDABLE"
        if self.cancel_requested:
            return "CANCEL_REQUESTED"
        self.note = note
        self.revise(now)
        return "AMENDED"

    def cancel(self, now: int) -> str:
        """Before the first lease a fact, after it a request."""
        if self.status == "CANCELLED" or self.cancel_requested:
            return "OK"
        if self.status not in CANCELLABLE:
            return "ORDER_NOT_CANCELLABLE"
        if self.leased_revision == 0:
            self.status, self.available = "CANCELLED", None
        else:
            self.cancel_requested = True
            self.revise(now)
        return "OK"

    def acknowledge(self, token: str, document: str, owner: Row | None, now: int) -> str:
        """Ack, latest token: done, or claimable now if `revision` went on. *owner* has *document* already."""
        latest = token == self.token
        if not latest and token != self.acked_token:
            return "STALE_LEASE"
        if document and document != self.document and (self.document or owner or not latest):
            return "DOCUMENT_CONFLICT"
        if not latest:
            return "ALREADY_ACKNOWLEDGED"
        if not document and not self.document and not self.calls_off:
            return "DOCUMENT_REQUIRED"
        if self.calls_off:
            self.status, self.cancel_requested = "CANCELLED", False
        elif self.status == "NEW":
            self.status = "ACKNOWLEDGED"
        self.document = self.document or document
        self.acked_revision, self.acked_token = self.leased_revision, token
        self.failures, self.dead = 0, False
        self._end_lease(now if self.went_on else None)
        return "ACKNOWLEDGED"

    def reject(self, token: str, now: int, *, permanent: bool = False, paused: bool = False) -> str:
        """Reject, latest token: failures + 1 and back-off; permanent or the last: dead. Claimable now if it went on."""
        if token != self.token:
            return "STALE_LEASE"
        if self.went_on:
            self.failures, self.dead = 0, False
            self._end_lease(now)
            return "REJECTED"
        if permanent and self.calls_off:
            return self._refuse_cancel(now)
        self.failures += 1
        if permanent or self.failures >= MAX_FAILURES:
            self.dead = True
            self._end_lease(None)
            return "BURIED"
        self._end_lease(FUTURE if paused or self.failures > 1 else now)
        return "REJECTED"

    def _refuse_cancel(self, now: int) -> str:
        """The ERP is right: what it has stays, what it never acknowledged goes out again as NEW."""
        self.cancel_requested = False
        self.failures, self.dead = 0, False
        if self.acked_revision:
            self.acked_revision = self.leased_revision
        self._end_lease(None if self.acked_revision else now)
        return "REJECTED"

    def release(self, token: str, now: int) -> str:
        """Release, latest token: claimable now, no failure counted."""
        if token != self.token:
            return "STALE_LEASE"
        self.dead = False
        self._end_lease(now)
        return "RELEASED"

    def extend(self, token: str) -> tuple[str, bool]:
        """Extend, latest token: new expiry; says superseded if `revision` went on."""
        if token != self.token:
            return "STALE_LEASE", False
        self.alive, self.available, self.dead = True, FUTURE, False
        return "EXTENDED", self.went_on

    def replay(self, now: int) -> str:
        """Replay: dead: claimable now, failures = 0."""
        if not self.dead:
            return "NOT_DEAD"
        self.dead, self.failures = False, 0
        self._end_lease(now)
        return "REPLAYED"

    def tell(self, status: str, invoice: str) -> str:
        """Take the furthest status, and the set of invoices."""
        further = bool(status) and STATUSES.index(status) > STATUSES.index(self.status)
        news = bool(invoice) and invoice not in self.invoices
        if further:
            self.status = status
        if news:
            self.invoices.add(invoice)
        return "APPLIED" if further or news else "STALE"

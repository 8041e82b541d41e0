"""What a CRM and its ERP do, in whatever order, on the server and on the model."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from .books import Lease, Told
from .both import ORDERS, OnBoth
from .table import MAX_FAILURES, STATUSES, Row
from .wire import Seen

LONG_PAST = 10**6
WHICH = st.integers(0, ORDERS - 1)
NOTE = st.sampled_from(["", "ring twice", "leave it with the neighbour"])
AGE = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2])
DOCUMENT = st.sampled_from(["own", "own", "own", "", "first", "loose"])
STATUS = st.sampled_from(["", *STATUSES[1:]])
INVOICE = st.sampled_from(["", "", "R-1", "R-2"])
EVENT = st.sampled_from(["new", "new", "new", "again", "reused"])


class TwoSides(OnBoth):
    """A CRM and its ERP do what they like with a handful of orders; after every step the server is as the model."""

    @initialize(notes=st.lists(NOTE, min_size=1, max_size=3), leased=st.sampled_from([True, True, False]))
    def start(self, notes: list[str], *, leased: bool) -> None:
        self.wire.set("available_at = NULL", "available_at IS NOT NULL")
        for note in notes:
            self.create(note, upsert=False)
        if leased:
            self.lease(100)

    @precondition(lambda self: len(self.books.rows) < ORDERS)
    @rule(note=NOTE, upsert=st.booleans())
    def create(self, note: str, *, upsert: bool) -> None:
        now, external_id = self.begin(), f"{self.run}-{len(self.books.rows)}"
        outcome, order_id = (self.wire.upsert if upsert else self.wire.create)(external_id, note)
        self.same("create", outcome, "CREATED" if upsert else "OK")
        self.add(order_id, note, now)

    @precondition(lambda self: self.now % 3 == 2)
    @rule(which=WHICH, note=NOTE)
    def create_again(self, which: int, note: str) -> None:
        self.begin()
        order_id, row = self.some_order(which)
        known = note in (row.first_note, row.note)
        expected = ("OK", order_id) if known else ("ALREADY_EXISTS", "")
        self.same("create again", self.wire.create(self.external_id(order_id), note), expected)

    @rule(which=WHICH, note=NOTE)
    def upsert(self, which: int, note: str) -> None:
        now, (order_id, row) = self.begin(), self.some_order(which)
        expected = row.amend(note, now)
        done = expected in ("AMENDED", "UNCHANGED")
        outcome = self.wire.upsert(self.external_id(order_id), note)
        self.same("upsert", outcome, (expected, order_id if done else ""))

    @rule(which=WHICH, note=NOTE)
    def amend(self, which: int, note: str) -> None:
        now, (order_id, row) = self.begin(), self.some_order(which)
        note = note or "a bell that rings"  # an empty field is none that the mask names
        expected = row.amend(note, now)
        done = expected in ("AMENDED", "UNCHANGED")
        outcome = self.wire.amend(order_id, note)
        self.same("amend", outcome, ("OK", row.revision) if done else (expected, 0))

    @precondition(lambda self: self.now % 3 == 1)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        """Mostly what was leased before: what was not is at its end then."""
        now, leased = self.begin(), [each for each, row in self.books.rows.items() if row.attempts]
        order_id = leased[which % len(leased)] if leased and which < ORDERS - 1 else self.some_order(which)[0]
        row = self.books.rows[order_id]
        self.same("cancel", self.wire.cancel(order_id), row.cancel(now))

    @precondition(lambda self: self.mostly(self.any_is("WAITING")))
    @rule(limit=st.sampled_from([1, 2, 100, 100]))
    def lease(self, limit: int) -> None:
        self.begin()
        token, leases = self.wire.lease(limit)
        self.same("lease of", len(leases), len(expected := self.books.claim(limit, token)))
        assert leases == expected
        for lease in leases:
            self.check_news(lease)
            self.tokens[lease.order_id].append(token)
            self.handed_out[lease.order_id].append(lease)

    def check_news(self, lease: Lease) -> None:
        """What was acknowledged never comes back, and every delivery is later than the one before."""
        assert lease.revision > self.settled.get(lease.order_id, 0)
        for before in self.handed_out[lease.order_id][-1:]:
            assert before.revision <= lease.revision
            assert before.attempt < lease.attempt

    @precondition(lambda self: self.mostly(self.any_held()))
    @rule(items=st.lists(st.tuples(WHICH, AGE, DOCUMENT), min_size=1, max_size=3))
    def acknowledge(self, items: list[tuple[int, int, str]]) -> None:
        acks = []
        for which, age, document in items:
            order_id, _, token = self.some_lease(which, age)
            acks.append((order_id, token, self.some_document(order_id, document)))
        self.acknowledge_these(acks)

    def acknowledge_these(self, acks: list[tuple[str, str, str]]) -> None:
        now = self.begin()
        for (order_id, token, document), outcome in zip(acks, self.wire.acknowledge(acks), strict=True):
            self.same("acknowledge", outcome, self.books.acknowledge(order_id, token, document, now))
            if outcome == "ACKNOWLEDGED":
                self.settled[order_id] = self.handed_out[order_id][-1].revision
        self.books.apply_parked()

    @precondition(lambda self: self.mostly(self.any_held()))
    @rule(which=WHICH, age=AGE, how=st.sampled_from(["", "", "permanent", "paused", "release"]))
    def reject(self, which: int, age: int, how: str) -> None:
        now, (order_id, row, token) = self.begin(), self.some_lease(which, age)
        told = {how: True} if how else {}
        outcome = self.wire.reject(order_id, token, **told)
        expected = row.release(token, now) if how == "release" else row.reject(token, now, **told)
        self.same(f"reject {how}", outcome, expected)

    @precondition(lambda self: self.mostly(self.any_held()))
    @rule(which=WHICH, age=AGE)
    def extend(self, which: int, age: int) -> None:
        self.begin()
        order_id, row, token = self.some_lease(which, age)
        self.same("extend", self.wire.extend(order_id, token), row.extend(token))

    @precondition(lambda self: self.mostly(self.any_is("DEAD")))
    @rule(which=WHICH)
    def replay(self, which: int) -> None:
        now, dead = self.begin(), [order_id for order_id, row in self.books.rows.items() if row.dead]
        order_id = dead[which % len(dead)] if dead else self.some_order(which)[0]
        row = self.books.rows[order_id]
        self.same("replay", self.wire.replay(order_id), row.replay(now))

    @precondition(lambda self: self.any_is("LEASED"))
    @rule(which=WHICH)
    def expire(self, which: int) -> None:
        """A lease runs out; after a second failure the order backs off first."""
        alive = [order_id for order_id, row in self.books.rows.items() if row.alive]
        self.let_pass([alive[which % len(alive)]])

    @precondition(lambda self: self.any_is("BACKING_OFF"))
    @rule()
    def wait(self) -> None:
        """The back-offs of all that do run out."""
        self.let_pass([order_id for order_id, row in self.books.rows.items() if row.state == "BACKING_OFF"])

    @rule(times=st.integers(1, MAX_FAILURES))
    def crash(self, times: int) -> None:
        """Nobody ever answers: again and again leases run out, and back-offs."""
        for _ in range(times):
            self.lease(100)
            self.compare()
            self.let_pass([order_id for order_id, row in self.books.rows.items() if row.alive])
            self.compare()
            self.wait()

    def let_pass(self, ids: list[str]) -> None:
        now = self.begin()
        past = f"'2020-01-01 00:00:00.{now:06}'"
        for order_id in ids:
            row = self.books.rows[order_id]
            backs_off = row.alive and row.failures > 1
            if not backs_off:
                row.available = now - LONG_PAST
            lease = f"lease_expires_at = {past}" if row.alive else "lease_expires_at = lease_expires_at"
            row.alive = False
            self.wire.set(lease if backs_off else f"{lease}, available_at = {past}", f"order_id = '{order_id}'")

    @rule(updates=st.lists(st.tuples(WHICH, st.booleans(), DOCUMENT, STATUS, INVOICE, EVENT), min_size=1, max_size=3))
    def tell(self, updates: list[tuple[int, bool, str, str, str, str]]) -> None:
        self.begin()
        told: list[tuple[str, Told]] = []
        for which, by_document, document, status, invoice, event in updates:
            order_id, _ = self.some_order(which)
            name = self.some_document(order_id, document or "own") if by_document else ""
            update = Told("" if name else order_id, name, status or ("" if invoice else "PROCESSING"), invoice)
            known = [*self.books.told.items(), *told]
            event_id, before = known[which % len(known)] if event != "new" and known else ("", update)
            told.append((event_id or f"{self.run}-{self.now}-{len(told)}", before if event == "again" else update))
        for (event_id, update), result in zip(told, self.wire.tell(told), strict=True):
            self.same("tell", result, self.books.tell(event_id, update))

    @invariant()
    def compare(self) -> None:
        seen = self.wire.look(self.books.rows)
        assert seen == {order_id: expected(row) for order_id, row in self.books.rows.items()}
        self.agreed = True

    def teardown(self) -> None:
        """Nothing is lost: who leases and acknowledges for long enough has the last revision of every order."""
        if not self.agreed:
            return
        while any(row.state != "DONE" for row in self.books.rows.values()):
            self.drain()
        for order_id, seen in self.wire.look(self.books.rows).items():
            row, leases = self.books.rows[order_id], self.handed_out[order_id]
            assert seen.state == "DONE"
            if leases:
                assert leases[-1].revision == row.acked_revision == seen.revision
            else:
                assert seen.status == "CANCELLED"

    def drain(self) -> None:
        for order_id, row in self.books.rows.items():
            if row.state == "DEAD":
                self.same("replay", self.wire.replay(order_id), row.replay(self.begin()))
        self.let_pass([each for each, row in self.books.rows.items() if row.state in ("LEASED", "BACKING_OFF")])
        self.wait()
        self.lease(100)
        held = [(each, row) for each, row in self.books.rows.items() if row.alive]
        if acks := [(each, row.token or "", "" if row.document else f"{self.run}-{each}") for each, row in held]:
            self.acknowledge_these(acks)
        self.compare()


def expected(row: Row) -> Seen:
    invoices = tuple(sorted(row.invoices))
    return Seen(row.status, row.revision, row.state, row.attempts, row.document, invoices, row.cancel_requested)

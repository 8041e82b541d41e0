"""What a step needs that is done on both, the server and the model: a count, a comparison, and what to choose from."""

from __future__ import annotations

import secrets
from collections import Counter

from hypothesis.stateful import RuleBasedStateMachine

from .books import Books, Lease
from .table import Row
from .wire import Wire

ORDERS = 4


class OnBoth(RuleBasedStateMachine):
    """A handful of orders on the server, and the books that say what they should be."""

    def __init__(self, wire: Wire, outcomes: Counter[str]) -> None:
        super().__init__()
        self.wire, self.outcomes = wire, outcomes
        self.run = secrets.token_hex(4)
        self.books = Books()
        self.tokens: dict[str, list[str]] = {}
        self.handed_out: dict[str, list[Lease]] = {}
        self.settled: dict[str, int] = {}
        self.now = 0
        self.agreed = False

    def begin(self) -> int:
        self.agreed = False
        self.now += 1
        return self.now

    def same(self, what: str, server: object, model: object) -> None:
        """Compare what became of a step."""
        self.outcomes[f"{what}: {server[0] if isinstance(server, tuple) else server}"] += 1
        assert server == model, what

    def any_is(self, state: str) -> bool:
        return any(row.state == state for row in self.books.rows.values())

    def any_held(self) -> bool:
        return any(row.token is not None for row in self.books.rows.values())

    def mostly(self, possible: bool) -> bool:
        """Seldom do what is not *possible*, to see it fail."""
        return possible or self.now % 4 == 0

    def some_order(self, which: int) -> tuple[str, Row]:
        ids = list(self.books.rows)
        return ids[which % len(ids)], self.books.rows[ids[which % len(ids)]]

    def some_lease(self, which: int, age: int) -> tuple[str, Row, str]:
        """Choose the latest token (*age* 0) of an order that has one, if any does, or an older one of any order."""
        held = [order_id for order_id, row in self.books.rows.items() if row.token is not None]
        order_id = held[which % len(held)] if held and age == 0 else self.some_order(which)[0]
        tokens = self.tokens[order_id]
        return order_id, self.books.rows[order_id], tokens[-1 - age] if age < len(tokens) else "never-handed-out"

    def some_document(self, order_id: str, which: str) -> str:
        number = {"own": list(self.books.rows).index(order_id), "first": 0, "loose": ORDERS}.get(which)
        return "" if number is None else f"{self.run}-SO-{number}"

    def external_id(self, order_id: str) -> str:
        return f"{self.run}-{list(self.books.rows).index(order_id)}"

    def add(self, order_id: str, note: str, now: int) -> None:
        self.books.rows[order_id] = Row(note, available=now, first_note=note)
        self.tokens[order_id], self.handed_out[order_id] = [], []

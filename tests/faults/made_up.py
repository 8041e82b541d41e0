"""A ledger that somebody made up: a day on which all went well, to be spoilt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from soaking.checker import violations
from soaking.ledger import Json, read
from soaking.state import Line, State

LEASE_SECONDS = 5
LINES = [{"sku": "71053", "quantity": "6", "unit_price": "3.39"}]


def an_order(**told: Any) -> Json:
    return {"external_id": "o1", "customer_external_id": "c1", "currency": "GBP", "note": "", "lines": LINES} | told


@dataclass
class Day:
    """What was told on it, line by line, and what is stored at its end."""

    lines: list[Json] = field(default_factory=list)
    state: State = field(default_factory=State)

    def call(self, method: str, at: float, request: Json, *replies: Json, fails: str = "", says: str = "") -> None:
        number = len(self.lines)
        self.lines.append({"at": at, "call": number, "who": "w", "asked": method, "request": request})
        self.lines += [{"at": at + 0.1, "call": number, "told": reply} for reply in replies]
        if fails:
            self.lines.append({"at": at + 0.1, "call": number, "failed": fails, "reason": fails, "says": says})

    def note(self, **told: Any) -> None:
        self.lines.append({"at": 0, **told})

    def create(self, name: str, order_id: str) -> None:
        order = an_order(external_id=name)
        self.call("CreateOrder", 0, {"order": order}, {"order": {**order, "id": order_id, "revision": 1}})

    def deliver(self, order: Json, at: float, attempt: int, **told: Any) -> None:
        """Hand *order* to a worker: its token is the attempt's number."""
        until = datetime.fromtimestamp(at + LEASE_SECONDS, UTC).isoformat()
        delivery = {"order": order, "kind": "NEW", "revision": order["revision"], "attempt": attempt}
        delivery |= {"lease_token": f"t{attempt}", "lease_expires_at": until} | told
        self.call("PullOrders", at, {}, {"deliveries": [delivery]})

    def acknowledge(self, order_id: str, at: float, attempt: int, outcome: str = "ACKNOWLEDGED") -> None:
        asked = {"order_id": order_id, "lease_token": f"t{attempt}"}
        replies = [{"results": [{"outcome": outcome}]}] if outcome else []
        self.call("AcknowledgeOrders", at, {"acknowledgements": [asked]}, *replies)

    def extend(self, order_id: str, at: float, attempt: int) -> None:
        until = datetime.fromtimestamp(at + LEASE_SECONDS, UTC).isoformat()
        asked = {"order_id": order_id, "lease_token": f"t{attempt}"}
        result = {"outcome": "EXTENDED", "lease_expires_at": until}
        self.call("ExtendLeases", at, {"extensions": [asked]}, {"results": [result]})

    def tell(self, event: str, order_id: str, status: str, method: str = "ReceiveErpEvent") -> None:
        update = {"event_id": event, "order_id": order_id, "status": status}
        if method == "ReceiveErpEvent":
            self.call(method, 20, update, {"outcome": "APPLIED"})
        else:
            self.call(method, 20, {"updates": [update]}, {"results": [{"outcome": "APPLIED"}]})

    def found(self) -> list[str]:
        """Return what the checker finds wrong."""
        return list(violations(read(map(json.dumps, self.lines)), self.state))


def stored(order_id: str, **told: Any) -> Json:
    usual = {"revision": 1, "status": "SHIPPED", "erp_document": f"SO-{order_id}", "delivery": {"state": "DONE"}}
    return an_order(id=order_id, external_id=order_id.replace("ord", "o")) | usual | told


def a_good_day() -> Day:
    """Two orders: one lost by a worker and taken by another, both booked and shipped; and an import."""
    day = Day()
    for name in ("1", "2"):
        day.create(f"o{name}", f"ord{name}")
    orders = [stored("ord1"), stored("ord2")]
    day.deliver(orders[0], 1, 1)
    day.extend("ord1", 3, 1)
    day.deliver(orders[0], 8.5, 2)
    day.acknowledge("ord1", 9, 2)
    day.deliver(orders[1], 1, 1)
    day.acknowledge("ord2", 2, 1, outcome="")
    day.acknowledge("ord2", 2.5, 1, outcome="ALREADY_ACKNOWLEDGED")
    day.tell("e1", "ord1", "SHIPPED")
    day.tell("e2", "ord2", "SHIPPED", "UpdateOrderStatus")
    good, result = {"c1": "Ada"}, {"created": 1, "updated": 0, "unchanged": 0, "failed": 1, "rows": 2}
    day.call("ImportCustomers", 0, {"import_id": "i1", "good": good, "bad": 1}, {"result": result})
    day.note(stopped="server 1", code=0, took=6.5)
    timeline = [Line("ord1", "STATUS_UPDATED", "e1"), Line("ord2", "STATUS_UPDATED", "e2")]
    day.state = State(orders, {"c1": "Ada"}, timeline, ["e1"])
    return day

"""What happens to orders on the CRM's side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

from tandem_proto.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument, TandemError
from tandem_server.domain.content import Content, differing, digest
from tandem_server.domain.erasure import external_key, refusal
from tandem_server.domain.lifecycle import Status
from tandem_server.domain.money import Totals
from tandem_server.domain.orders import total_up
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.storage import customers, erasures, events, orders
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import Event, EventType
from tandem_server.storage.orders import LINE_CONTENT, StoredOrder
from tandem_server.usecases.identifiers import new_order_id

DEFAULTED = frozenset({"ordered_at", "billing_address", "shipping_address"})
"""Fields that Tandem fills in where a create leaves them out."""

UNTOLD: dict[str, Any] = {
    "erp_document": None,
    "invoice_numbers": [],
    "shipments": {},
    "cancel_requested_at": None,
    "erased_at": None,
}
"""What only the ERP, a cancel or an erasure can tell of an order."""


class NewOrder(NamedTuple):
    """An order to create: its content by field name, its encoded size in bytes, and who asks."""

    content: Content
    size: int
    caller: Caller


class Created(NamedTuple):
    """An order after a create, at the database's time *at*; `replayed` where it was there already."""

    stored: StoredOrder
    replayed: bool
    at: datetime


async def create(tx: Transaction, routes: Routes, new: Sequence[NewOrder]) -> list[Created | TandemError]:
    """Create each of *new*, all of one source, or find that it was created before: one result an order, in order.

    A result is AlreadyExists where another order has the external id, InvalidArgument where the order does not fit or
    its customer is not known, FailedPrecondition where the customer was erased; neither spoils its neighbours. Raises
    FailedPrecondition where the source has no ERP.
    """
    source = new[0].caller.source
    erp = routes.erp_of(source)
    if erp is None:
        message = f"no ERP is set for {source}: add it to TANDEM_ROUTES"
        raise FailedPrecondition(message, reason="NO_ROUTE")
    contents = [order.content for order in new]
    existing = await orders.by_external_ids(tx, source, [content["external_id"] for content in contents])
    found = await _customers(tx, source, contents)
    batch = _Batch(erp, await tx.now(), existing, found, await _erased(tx, source, contents, found))
    results = [batch.result(order) for order in new]
    await _store(tx, batch.made)
    return results


@dataclass
class _Batch:
    """Orders on their way in, and what of the database they meet there."""

    erp: str
    now: datetime
    existing: dict[str, StoredOrder]
    customers: dict[str, Any]
    erased: set[str]
    made: list[tuple[Caller, StoredOrder]] = field(default_factory=list)

    def result(self, order: NewOrder) -> Created | TandemError:
        try:
            return self._create(order)
        except TandemError as error:
            return error

    def _create(self, order: NewOrder) -> Created:
        totals = total_up(order.content)
        customer = self._customer(order.content)
        content = {**order.content, "customer_id": customer.id, "customer_external_id": customer.external_id}
        if stored := self.existing.get(content["external_id"]):
            _check_same(stored, content)
            return Created(stored, replayed=True, at=self.now)
        made = self._make(order, content, totals, customer)
        self.existing[content["external_id"]] = made
        self.made.append((order.caller, made))
        return Created(made, replayed=False, at=self.now)

    def _customer(self, content: Content) -> Any:
        name = "customer_id" if content["customer_id"] else "customer_external_id"
        customer = self.customers.get(content[name])
        if content[name] in self.erased or (customer and customer.erased_at):
            raise refusal(name)
        if customer:
            return customer
        wrong = FieldViolation(name, f"there is no customer {content[name]}: create the customer first")
        raise InvalidArgument(wrong.description, reason="UNKNOWN_CUSTOMER", fields=[wrong])

    def _make(self, order: NewOrder, content: Content, totals: Totals, customer: Any) -> StoredOrder:
        order_id = new_order_id()
        header = _header(content, totals, customer, self.now) | {
            "id": order_id,
            "source": order.caller.source,
            "erp": self.erp,
            "traceparent": order.caller.traceparent,
        }
        amounts = zip(content["lines"], totals.amounts, strict=True)
        lines = by_number({**line, "order_id": order_id, "revision": 1, "amount": amount} for line, amount in amounts)
        waiting = _waiting(order_id, self.erp, order.size, self.now)
        return StoredOrder(
            SimpleNamespace(**header), [SimpleNamespace(**line) for line in lines], SimpleNamespace(**waiting)
        )


def _header(content: Content, totals: Totals, customer: Any, now: datetime) -> dict[str, Any]:
    given = {name: value for name, value in content.items() if name != "lines"}
    copied = {
        name: getattr(customer, name) for name in ("billing_address", "shipping_address") if content[name] is None
    }
    return {
        **given,
        **copied,
        **UNTOLD,
        "created_digest": digest(content),
        "ordered_at": content["ordered_at"] or now,
        "subtotal": totals.subtotal,
        "tax_amount": totals.tax,
        "total": totals.total,
        "status": Status.NEW.value,
        "revision": 1,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def _waiting(order_id: str, erp: str, size: int, now: datetime) -> dict[str, Any]:
    nothing = dict.fromkeys(("lease_token", "lease_expires_at", "leased_by", "acked_token", "dead_at"))
    zero = dict.fromkeys(("leased_revision", "acked_revision", "attempts", "failures"), 0)
    texts = {"last_code": "", "last_error": ""}
    own = {"order_id": order_id, "erp": erp, "revision": 1, "available_at": now, "bytes": size, "next_seq": 2}
    return {**nothing, **zero, **texts, **own}


async def _customers(tx: Transaction, source: str, contents: Sequence[Content]) -> dict[str, Any]:
    """Return the customers that *contents* name, by either id."""
    ids = [content["customer_id"] for content in contents if content["customer_id"]]
    external_ids = [content["customer_external_id"] for content in contents if content["customer_external_id"]]
    if not ids and not external_ids:
        return {}
    found = await customers.of_orders(tx, source, ids, external_ids)
    return {name: row for row in found for name in (row.id, row.external_id)}


async def _erased(tx: Transaction, source: str, contents: Sequence[Content], known: Mapping[str, Any]) -> set[str]:
    """Return the external ids of customers that *contents* name and that were erased; *known* is who is there."""
    named = {content["customer_external_id"] for content in contents} - {"", *known}
    keys = [external_key(source, each) for each in named]
    return {external_id for _, _, external_id in await erasures.among(tx, source, keys)} if keys else set()


def content_of(stored: StoredOrder, names: Iterable[str]) -> dict[str, Any]:
    """Return the content of an order as it is now: its fields with these *names* but the total, and its lines."""
    told = {name: getattr(stored.order, name) for name in names if name not in ("lines", "total")}
    return told | {"lines": [{name: getattr(line, name) for name in LINE_CONTENT} for line in stored.lines]}


def by_number(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *lines* as they are read from storage, in the order of their numbers."""
    return sorted(lines, key=itemgetter("line_number"))


def _check_same(stored: StoredOrder, content: Content) -> None:
    """Let the content of the create again pass, and the content as it is now; anything else raises AlreadyExists."""
    if stored.order.created_digest == digest(content):
        return
    if fields := differing({**content, "lines": by_number(content["lines"])}, content_of(stored, content), DEFAULTED):
        message = f"order {stored.order.external_id} exists with different {', '.join(fields)}"
        wrong = [FieldViolation(name, "differs from what is stored") for name in fields]
        raise AlreadyExists(message, fields=wrong, metadata={"id": stored.order.id})


async def _store(tx: Transaction, made: Sequence[tuple[Caller, StoredOrder]]) -> None:
    if not made:
        return
    await orders.add(
        tx,
        [vars(stored.order) for _, stored in made],
        [vars(line) for _, stored in made for line in stored.lines],
        [vars(stored.delivery) for _, stored in made],
    )
    await events.add(tx, [(who, Event(stored.order.id, 1, EventType.CREATED, revision=1)) for who, stored in made])

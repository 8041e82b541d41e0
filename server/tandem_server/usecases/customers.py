"""What happens to customers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tandem_proto.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound
from tandem_server.domain.content import Content, differing, digest
from tandem_server.domain.etags import check_etag
from tandem_server.domain.money import minor_units
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.storage import customers
from tandem_server.storage.database import Transaction
from tandem_server.usecases.identifiers import new_customer_id


class Created(NamedTuple):
    """A customer after a create; `replayed` where it was there already."""

    row: Any
    replayed: bool


async def create(tx: Transaction, caller: Caller, content: Content) -> Created:
    """Create a customer, or return the one that the same create made before.

    Raises AlreadyExists, naming the fields that differ, where another one has the external id, and InvalidArgument for
    an unknown currency.
    """
    _check(content)
    existing = await customers.by_external_ids(tx, caller.source, [content["external_id"]])
    if row := existing.get(content["external_id"]):
        return Created(_same(row, content), replayed=True)
    return Created(await _add(tx, caller, content), replayed=False)


async def upsert(tx: Transaction, caller: Caller, content: Content) -> tuple[Any, str]:
    """Store the customer as *content* says and return it with CREATED, UPDATED or UNCHANGED."""
    _check(content)
    external_id = content["external_id"]
    row = (await customers.by_external_ids(tx, caller.source, [external_id], lock=True)).get(external_id)
    if row is None:
        return await _add(tx, caller, content), "CREATED"
    return await _change(tx, row, content)


async def update(
    tx: Transaction, caller: Caller, customer_id: str, content: Content, mask: Collection[str], expected_etag: str
) -> Any:
    """Change the fields of *mask* and return the customer.

    Raises NotFound, and EtagMismatch with the current etag where *expected_etag* is given and another.
    """
    row = await customers.find(tx, caller.source, customer_id=customer_id, lock=True)
    if row is None:
        raise NotFound(f"there is no customer {customer_id}")
    check_etag("customer", row.version, expected_etag)
    changes = {field: content[field] for field in mask}
    _check(changes)
    return (await _change(tx, row, changes))[0]


async def served(tx: Transaction, routes: Routes, caller: Caller, ids: Sequence[str]) -> dict[str, Any]:
    """Return the customers among *ids* whose source the caller's ERP serves, by id."""
    erp = caller.principal.erp
    sources = routes.sources_of(erp) if erp else None
    rows = await customers.by_ids(tx, ids)
    return {each: row for each, row in rows.items() if sources is None or row.source in sources}


async def link(tx: Transaction, routes: Routes, caller: Caller, customer_id: str, erp_number: str) -> tuple[Any, bool]:
    """Store the ERP's own number for a customer that it serves; return the row, and whether the number is news.

    Raises NotFound.
    """
    row = (await served(tx, routes, caller, [customer_id])).get(customer_id)
    if row is None:
        raise NotFound(f"there is no customer {customer_id}")
    await customers.link(tx, {customer_id: erp_number})
    return (await customers.by_ids(tx, [customer_id]))[customer_id], row.erp_number != erp_number


def _check(content: Content) -> None:
    currency = content.get("currency")
    if currency and minor_units(currency) is None:
        field = FieldViolation("currency", f"{currency} is not a currency of ISO 4217")
        raise InvalidArgument(field.description, fields=[field])


def _same(row: Any, content: Content) -> Any:
    if row.created_digest == digest(content):
        return row
    if fields := differing(content, {name: getattr(row, name) for name in content}):
        message = f"customer {row.external_id} exists with another {', '.join(fields)}"
        raise AlreadyExists(message, fields=[FieldViolation(name, "differs from what is stored") for name in fields])
    return row


async def _add(tx: Transaction, caller: Caller, content: Content) -> Any:
    now = await tx.now()
    values = {
        **content,
        "id": new_customer_id(),
        "source": caller.source,
        "created_digest": digest(content),
        "erp_number": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    await customers.add(tx, [values])
    return await customers.find(tx, caller.source, customer_id=values["id"])


async def _change(tx: Transaction, row: Any, content: Content) -> tuple[Any, str]:
    changed = differing(content, {name: getattr(row, name) for name in content})
    if not changed:
        return row, "UNCHANGED"
    await customers.change(tx, row.id, {name: content[name] for name in changed})
    return await customers.find(tx, row.source, customer_id=row.id), "UPDATED"

"""What happens to customers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from tandem_proto.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound
from tandem_server.domain.content import Content, differing, digest
from tandem_server.domain.customers import BLANK, email_key
from tandem_server.domain.erasure import Key, email_address_key, external_key, refusal
from tandem_server.domain.etags import check_etag
from tandem_server.domain.money import minor_units
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.storage import customers, erasures
from tandem_server.storage.database import Transaction
from tandem_server.usecases.identifiers import new_customer_id


class Created(NamedTuple):
    """A customer after a create; `replayed` where it was there already."""

    row: Any
    replayed: bool


class Change(NamedTuple):
    """What a customer is to become: `content` laid over its `row` (None: there is none yet).

    `fields` names what differs; `marks` are further columns to write, which are no change of the customer.
    """

    id: str
    row: Any | None
    content: Content
    fields: Sequence[str]
    marks: Content

    @property
    def key(self) -> str:
        """What the customer is sorted by: its external id."""
        return str(self.row.external_id if self.row else self.content["external_id"])

    def keys(self, source: str) -> Iterator[Key]:
        """Yield what a customer of *source* is known by from this change on, and was not before."""
        if self.row is None:
            yield external_key(source, self.key)
        email = self.content.get("email")
        if email and (self.row is None or email_key(email) != self.row.email_key):
            yield email_address_key(source, email)

    @property
    def outcome(self) -> str:
        """CREATED, UPDATED or UNCHANGED."""
        if self.row is None:
            return "CREATED"
        return "UPDATED" if self.fields else "UNCHANGED"


def change_of(row: Any | None, content: Content, marks: Content = MappingProxyType({})) -> Change:
    """Return what it takes to make the customer *row*, or a new one, as *content* says. Raises for an erased one."""
    if row is None:
        return Change(new_customer_id(), None, content, (), marks)
    if row.erased_at is not None:
        raise refusal("external_id")
    return Change(row.id, row, content, differing(content, {name: getattr(row, name) for name in content}), marks)


async def create(tx: Transaction, caller: Caller, content: Content) -> Created:
    """Create a customer, or return the one that the same create made before.

    Raises AlreadyExists, naming the fields that differ, where another one has the external id, and InvalidArgument for
    an unknown currency; as `store` does for what was erased.
    """
    check(content)
    existing = await customers.by_external_ids(tx, caller.source, [content["external_id"]])
    if row := existing.get(content["external_id"]):
        return Created(_same(row, content), replayed=True)
    return Created(await _stored(tx, caller, change_of(None, content)), replayed=False)


async def upsert(tx: Transaction, caller: Caller, content: Content) -> tuple[Any, str]:
    """Store the customer as *content* says and return it with CREATED, UPDATED or UNCHANGED."""
    check(content)
    external_id = content["external_id"]
    rows = await customers.by_external_ids(tx, caller.source, [external_id], lock=True)
    change = change_of(rows.get(external_id), content)
    return await _stored(tx, caller, change), change.outcome


async def store(tx: Transaction, caller: Caller, changes: Sequence[Change]) -> None:
    """Make *changes*, each of another customer, whose rows are locked already; the rows go in by key.

    Raises FailedPrecondition with reason ERASED for a key that was erased. The ledger is read when the keys are taken:
    an erasure of one of them is committed by then, or has yet to wait for us.
    """
    now = await tx.now()
    ordered = sorted(changes, key=attrgetter("key"))
    await customers.add(tx, [_row(change) for change in ordered if change.row is None], _new(caller, now))
    updated = {change.id: {**change.content, **change.marks} for change in ordered if change.outcome == "UPDATED"}
    await customers.change(tx, updated)
    await customers.mark(tx, {c.id: c.marks for c in ordered if c.marks and c.outcome == "UNCHANGED"})
    if erased := await erasures.among(tx, caller.source, (key for c in ordered for key in c.keys(caller.source))):
        raise refusal(*sorted({kind for kind, *_ in erased}))


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
    check(changes)
    return await _stored(tx, caller, change_of(row, changes))


async def served(tx: Transaction, routes: Routes, caller: Caller, ids: Sequence[str]) -> dict[str, Any]:
    """Return the customers among *ids* whose source the caller's ERP serves, by id."""
    erp = caller.principal.erp
    sources = routes.sources_of(erp) if erp else None
    rows = await customers.by_ids(tx, ids)
    return {each: row for each, row in rows.items() if sources is None or row.source in sources}


async def link(tx: Transaction, routes: Routes, caller: Caller, customer_id: str, erp_number: str) -> tuple[Any, bool]:
    """Store the ERP's own number for a customer that it serves; return the row, and whether the number is news.

    Raises NotFound, and FailedPrecondition where the customer is erased.
    """
    row = (await served(tx, routes, caller, [customer_id])).get(customer_id)
    if row is None:
        raise NotFound(f"there is no customer {customer_id}")
    await customers.link(tx, {customer_id: erp_number})
    linked = (await customers.by_ids(tx, [customer_id]))[customer_id]
    if linked.erased_at is not None:
        raise refusal("id")
    return linked, row.erp_number != erp_number


def check(content: Content) -> None:
    """Raise InvalidArgument for what no field rule can say: a currency that does not exist."""
    currency = content.get("currency")
    if currency and minor_units(currency) is None:
        field = FieldViolation("currency", f"{currency} is not a currency of ISO 4217")
        raise InvalidArgument(field.description, fields=[field])


def _same(row: Any, content: Content) -> Any:
    if row.erased_at is not None:
        raise refusal("external_id")
    if row.created_digest == digest(content):
        return row
    if fields := differing(content, {name: getattr(row, name) for name in content}):
        message = f"customer {row.external_id} exists with different {', '.join(fields)}"
        raise AlreadyExists(message, fields=[FieldViolation(name, "differs from what is stored") for name in fields])
    return row


def _row(change: Change) -> dict[str, Any]:
    """Return what a new customer has of its own."""
    return {
        **BLANK,
        **change.content,
        "id": change.id,
        "created_digest": "" if change.marks else digest(change.content),  # an import is no create that is repeated
        "import_id": None,
        "import_row": None,
        **change.marks,
    }


def _new(caller: Caller, now: datetime) -> dict[str, Any]:
    """Return what all new customers of a transaction have in common."""
    told = {"source": caller.source, "erp_number": "", "version": 1, "erased_at": None}
    return {**told, "created_at": now, "updated_at": now}


async def _stored(tx: Transaction, caller: Caller, change: Change) -> Any:
    """Make one *change* and return the customer as it then is."""
    if change.outcome == "UNCHANGED":
        return change.row
    await store(tx, caller, [change])
    return await customers.find(tx, caller.source, customer_id=change.id)

"""Records of an upload as rows: what each says of a customer, checked by the contract's rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeVar

from tandem.crm.v1.customer_pb2 import Customer
from tandem.integration.v1.import_requests_pb2 import ImportCustomersRequest
from tandem_proto.errors import FieldViolation, Findings, InvalidArgument
from tandem_proto.lists import most_items, too_many
from tandem_server.domain.imports import Row
from tandem_server.rpc import contents
from tandem_server.rpc.rules import broken_items

ATTRIBUTES = Customer.DESCRIPTOR.fields_by_name["attributes"]
MOST_ATTRIBUTES = most_items(ATTRIBUTES)

T = TypeVar("T")

Read = Callable[[T, Customer, Findings], Collection[str]]
"""Puts a record into a customer and returns the names of the fields that it is about; raises UnreadableRowError."""


class UnreadableRowError(Exception):
    """A record is no row; the message says why."""


class _Draft(NamedTuple):
    """A row that the contract's rules have not seen: the fields it is about, and what is wrong with it already."""

    names: Collection[str]
    faults: Sequence[FieldViolation] = ()
    readable: bool = True


def rows_of(records: Sequence[T], read: Read[T]) -> list[Row]:
    """Return a row for each of *records*, every wrong field of it named."""
    batch = ImportCustomersRequest()
    drafts = [_draft(record, batch.customers.add(), read) for record in records]
    wrong = broken_items(batch)
    told = zip(drafts, batch.customers, strict=True)
    return [_row(draft, customer, wrong.get(place, ())) for place, (draft, customer) in enumerate(told)]


def _draft(record: T, customer: Customer, read: Read[T]) -> _Draft:
    findings = Findings()
    names: Collection[str] = ()
    try:
        names = read(record, customer, findings)
        _check_count(customer, findings)
        findings.check()
    except UnreadableRowError as error:
        return _Draft((), (FieldViolation("", str(error)),), readable=False)
    except InvalidArgument as error:
        return _Draft(names, error.fields or (FieldViolation("", str(error)),))
    return _Draft(names)


def _check_count(customer: Customer, findings: Findings) -> None:
    """Note where there are too many attributes, and judge none of them: that takes seconds for some thousands."""
    if len(customer.attributes) > MOST_ATTRIBUTES:
        findings.add(ATTRIBUTES.name, too_many(ATTRIBUTES))
        customer.attributes.clear()


def _row(draft: _Draft, customer: Customer, wrong: Sequence[FieldViolation]) -> Row:
    if not draft.readable:
        return Row({}, draft.faults, "NOT_READABLE")
    if wrong and customer.email and not customer.external_id:  # the address says which customer is meant
        wrong = [fault for fault in wrong if fault.field != "external_id"]
    if wrong or draft.faults:
        return Row({}, [*draft.faults, *wrong], "INVALID_FIELDS")
    return Row(contents.customer(customer, draft.names))

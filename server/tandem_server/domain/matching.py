"""Which customer each row of an import is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tandem_proto.errors import FieldViolation
from tandem_server.domain.content import Content
from tandem_server.domain.customers import email_key


class Match(NamedTuple):
    """What a row is about: the customer's external id and its row (None: there is none yet), or what is wrong."""

    external_id: str = ""
    customer: Any | None = None
    faults: tuple[FieldViolation, ...] = ()
    reason: str = ""


class Matching:
    """Finds the customer of each row, as if the rows were stored one after the other.

    *customers* are all that have an external id or an e-mail address of the rows. A row with an external id is about
    that customer, one without about the one with its e-mail address. A customer that import *import_id* has touched
    before is not touched again.
    """

    def __init__(self, import_id: str, customers: Iterable[Any], rows: Iterable[Content]) -> None:
        self._customers = {customer.external_id: customer for customer in customers}
        self._touched = {c.external_id: c.import_row for c in self._customers.values() if c.import_id == import_id}
        self._by_email: dict[str, set[str]] = {email_key(row["email"]): set() for row in rows if not _names(row)}
        for customer in self._customers.values():
            self._note_email(customer.external_id, customer.email_key)

    def find(self, number: int, content: Content) -> Match:
        """Return what the row of *number* is about; it counts as stored from now on, unless something is wrong."""
        external_id = _names(content)
        if not external_id:
            found = self._by_email[email_key(content["email"])]
            if len(found) != 1:
                return _ambiguous(len(found)) if found else _unknown()
            (external_id,) = found
        if external_id in self._touched:
            return _repeated(external_id, self._touched[external_id])
        self._touched[external_id] = number
        customer = self._customers.get(external_id)
        if self._by_email and "email" in content:
            if customer is not None:
                self._by_email.get(customer.email_key, set()).discard(external_id)
            self._note_email(external_id, email_key(content["email"]))
        return Match(external_id, customer)

    def _note_email(self, external_id: str, key: str) -> None:
        if key in self._by_email:
            self._by_email[key].add(external_id)


def _names(content: Content) -> str:
    return str(content.get("external_id", ""))


def _ambiguous(number: int) -> Match:
    wrong = FieldViolation("email", f"is the address of {number} customers: tell the external_id")
    return Match(faults=(wrong,), reason="AMBIGUOUS_EMAIL")


def _unknown() -> Match:
    wrong = FieldViolation("external_id", "is needed: no customer has this e-mail address")
    return Match(faults=(wrong,), reason="INVALID_FIELDS")


def _repeated(external_id: str, first: int) -> Match:
    wrong = FieldViolation("external_id", f"row {first} is about the same customer, {external_id}")
    return Match(faults=(wrong,), reason="DUPLICATE_IN_FILE")

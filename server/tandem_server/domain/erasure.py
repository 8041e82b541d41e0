"""What is left where something was erased: no text, and marks, by which a key is known again and not read."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from tandem_proto.errors import FailedPrecondition, FieldViolation
from tandem_server.domain.content import Content
from tandem_server.domain.customers import BLANK, email_key

Key = tuple[str, str, str]
"""What a mark is made of: the kind of a key, whose it is, and the key itself."""

CUSTOMER: Content = {**BLANK, "created_digest": "", "erp_number": "", "inactive": True}
ORDER: Content = {
    **dict.fromkeys(("created_digest", "number", "customer_reference", "shipping_method", "payment_terms"), ""),
    **dict.fromkeys(("payment_reference", "note"), ""),
    **dict.fromkeys(("billing_address", "shipping_address")),
    "attachments": [],
    "attributes": {},
    "invoice_numbers": [],
}
LINE: Content = {
    **dict.fromkeys(("external_id", "sku", "description", "unit", "tax_code", "warehouse", "note"), ""),
    "attributes": {},
}
"""What columns become; those that are not here are ids of Tandem, dates, states, quantities, amounts and currencies."""

TOLD = frozenset({"code", "outcome", "status", "occurred_at", "sequence", "parked_at", "permanent", "fields"})
"""What stays of an event's detail: nothing that anybody typed."""

SEPARATORS = re.compile(r'[,;\t"{}:]+')
"""What stands between texts in a cell that is all of a row that could not be read."""


class Marks:
    """Makes marks by the first of *secrets*, and knows those that were made by any of them; without any it is false."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def __bool__(self) -> bool:
        return bool(self._secrets)

    @property
    def secrets(self) -> list[str]:
        """What each secret is called, which does not tell it; marks are made by the first."""
        return [_digest(secret, "secret")[:16] for secret in self._secrets]

    def of(self, key: Key) -> str:
        """Return the mark that is made of *key* now."""
        return self.known(key)[0]

    def known(self, key: Key) -> list[str]:
        """Return every mark that may have been made of *key*."""
        return [_digest(secret, *key) for secret in self._secrets]


OFF = Marks()
"""Without a secret nothing can be erased, and nothing was."""


def _digest(secret: bytes, *texts: str) -> str:
    return hmac.digest(secret, "\0".join(texts).encode(), "sha256").hex()[:32]


def replacement(what: str) -> str:
    """Return what takes the place of a text that has to be unique."""
    return f"erased:{what}"


def external_key(source: str, external_id: str) -> Key:
    """Return the key that a customer's external id is."""
    return "external_id", source, external_id


def email_address_key(source: str, email: str) -> Key:
    """Return the key that an e-mail address is, however it is written."""
    return "email", source, email_key(email)


def document_key(erp: str, document: str) -> Key:
    """Return the key that an ERP's document is."""
    return "erp_document", erp, document


def keys_of(source: str, content: Content) -> Iterator[Key]:
    """Yield the keys that *content* says of a customer."""
    if external_id := content.get("external_id"):
        yield external_key(source, external_id)
    if email := content.get("email"):
        yield email_address_key(source, email)


def keys_in(source: str, header: Sequence[str], cells: Sequence[str]) -> Iterator[Key]:
    """Yield what may be keys of a customer in a row of an import: of all cells, where *header* does not say which."""
    names = [name.strip().lower() for name in header]
    told = [cell for name, cell in zip(names, cells, strict=False) if name in ("external_id", "email")]
    for text in filter(None, (text for cell in told or cells for text in _texts(cell))):
        yield external_key(source, text)
        if "@" in text:
            yield email_address_key(source, text)


def _texts(cell: str) -> list[str]:
    try:
        document = orjson.loads(cell) if cell.startswith("{") else None
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return [cell.strip(), *(part.strip() for part in SEPARATORS.split(cell))]
    return [str(document[name]) for name in ("external_id", "externalId", "email") if name in document]


def shipments_without_texts(shipments: Mapping[str, Any]) -> dict[str, Any]:
    """Return *shipments* with the quantities that they held, and nothing that the ERP called them."""
    gone = dict.fromkeys(("carrier", "tracking_number", "tracking_url"), "")
    named = {replacement(str(number)): shipment for number, shipment in enumerate(shipments.values(), 1)}
    return {name: {**shipment, **gone, "shipment_id": name} for name, shipment in named.items()}


def refusal(*fields: str) -> FailedPrecondition:
    """Return the error of whoever would bring back what was erased."""
    wrong = [FieldViolation(name, "is of a customer who was erased") for name in fields]
    return FailedPrecondition("the customer was erased, and nothing brings it back", reason="ERASED", fields=wrong)

"""What makes two e-mail addresses the same, and what a customer is before anything is said of it."""

from __future__ import annotations

import unicodedata

from tandem_server.domain.content import Content

BLANK: Content = {
    "external_id": "",
    "name": "",
    "type": "",
    "email": "",
    "phone": "",
    "tax_id": "",
    "currency": "",
    "payment_terms": "",
    "billing_address": None,
    "shipping_address": None,
    "note": "",
    "inactive": False,
    "attributes": {},
}
"""Every field that a caller may set, empty."""


def email_key(email: str) -> str:
    """Return what *email* is compared by: composed (Unicode NFC), without capitals."""
    return unicodedata.normalize("NFC", email).casefold()[:254]

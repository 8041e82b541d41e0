"""What makes two e-mail addresses the same."""

from __future__ import annotations

import unicodedata


def email_key(email: str) -> str:
    """Return what *email* is compared by: composed (Unicode NFC), without capitals."""
    return unicodedata.normalize("NFC", email).casefold()[:254]

"""Keys that every database of the tests knows, so that a party costs no call: see `add_keys`."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from behind import connected
from sqlalchemy import exists, insert, select

from tandem_server.domain.keys import digest, key_text
from tandem_server.storage.tables import keys

PARTIES = 1000
MADE_AT = datetime(2024, 1, 1, tzinfo=UTC)


class Holder(NamedTuple):
    """Whose a key is."""

    role: str
    source: str | None = None
    erp: str | None = None
    ended: str = ""

    @property
    def name(self) -> str:
        return ":".join(filter(None, self))  # the role, and for whom

    @property
    def _seed(self) -> bytes:
        return sha256(self.name.encode()).digest()

    @property
    def id(self) -> str:
        return f"key_0{int.from_bytes(self._seed[:10], 'big'):025d}"

    @property
    def key(self) -> str:
        return key_text("test", self.id, b32encode(self._seed[:20]).decode().lower())

    @property
    def row(self) -> dict[str, Any]:
        made = {"created_by": "tests", "created_at": MADE_AT, "digest": digest(self.key)}
        made |= {"revoked_at": None, "expires_at": None} | ({self.ended: MADE_AT} if self.ended else {})
        return made | {"id": self.id, "name": self.name, "roles": [self.role], "source": self.source, "erp": self.erp}


ADMIN, OPERATOR, REPORTS = Holder("admin"), Holder("operator"), Holder("reports")
STRANGE_CRM, STRANGE_ERP = Holder("crm", source="stranger"), Holder("erp", erp="stranger")
OTHER_ADMIN = Holder("admin", source="crm", erp="default")
REVOKED, EXPIRED = Holder("admin", ended="revoked_at"), Holder("admin", ended="expires_at")
UNKNOWN = Holder("admin", source="unknown")
"""A key as it must be, which nobody made."""


def holders() -> Iterator[Holder]:
    yield from (ADMIN, OPERATOR, REPORTS, STRANGE_CRM, STRANGE_ERP, OTHER_ADMIN, REVOKED, EXPIRED)
    for number in range(PARTIES):
        yield Holder("crm", source=f"p{number}")
        yield Holder("integration", source=f"p{number}")
        yield Holder("erp", erp=f"e{number}")
        yield Holder("operator", erp=f"e{number}")


def add_keys(database_url: str) -> None:
    """Store all these keys, at once and behind everybody's back, where they are not stored yet."""
    with connected(database_url) as connection:
        if not connection.scalar(select(exists(select(keys.c.id)))):
            connection.execute(insert(keys), [holder.row for holder in holders()])

"""What administrators do with keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tandem_proto.errors import FieldViolation, InvalidArgument, NotFound, PermissionDenied
from tandem_server.domain.keys import digest, key_text
from tandem_server.domain.principals import ERP_ROLES, SOURCE_ROLES, Principal, scopes_of
from tandem_server.storage import keys
from tandem_server.storage.database import Transaction
from tandem_server.usecases.identifiers import new_key_id, new_secret


class NewKey(NamedTuple):
    """What is asked of a key: names of roles, and for whom it speaks, None for all."""

    name: str
    roles: Sequence[str]
    source: str | None = None
    erp: str | None = None
    expires_at: datetime | None = None


class CreatedKey(NamedTuple):
    """A key's row, and the key itself, which is nowhere else."""

    row: Any
    text: str


async def create(tx: Transaction, creator: Principal, new: NewKey, environment: str) -> CreatedKey:
    """Make a key. Raises InvalidArgument, and PermissionDenied where it may do more than *creator*."""
    now = await tx.now()
    _check(new, now)
    _check_creator(creator, new)
    key_id = new_key_id()
    text = key_text(environment, key_id, new_secret())
    made = {"id": key_id, "digest": digest(text), "created_by": creator.name, "created_at": now}
    await keys.add(tx, new._asdict() | made | {"roles": list(new.roles)})
    return CreatedKey(await keys.find(tx, key_id), text)


async def revoke(tx: Transaction, revoker: Principal, key_id: str) -> Any:
    """End a key for good and return its row. Raises NotFound."""
    await find(tx, revoker, key_id)
    await keys.revoke(tx, key_id)
    return await keys.find(tx, key_id)


async def find(tx: Transaction, reader: Principal, key_id: str) -> Any:
    """Return the row of a key. Raises NotFound where there is none of the parties that *reader* speaks for."""
    row = await keys.find(tx, key_id, reader)
    if row is None:
        raise NotFound(f"there is no key {key_id}")
    return row


def _check(new: NewKey, now: datetime) -> None:
    """Raise InvalidArgument, naming every wrong field, where *new* makes no sense."""
    lacking = "is needed by the roles {}: say whose key it is"
    wrong = [
        FieldViolation(field, lacking.format(", ".join(sorted(needing))))
        for field, party, roles in (("source", new.source, SOURCE_ROLES), ("erp", new.erp, ERP_ROLES))
        if not party and (needing := roles.intersection(new.roles))
    ]
    wrong += _half_open(new) if not wrong else []
    if new.expires_at is not None and new.expires_at <= now:
        wrong.append(FieldViolation("expires_at", "must be in the future"))
    if wrong:
        raise InvalidArgument(f"{wrong[0].field} {wrong[0].description}", reason="INVALID_FIELDS", fields=wrong)


def _half_open(new: NewKey) -> list[FieldViolation]:
    """Return what is wrong with a key for one party that would see what belongs to all others on the other side."""
    scopes = scopes_of(new.roles)
    if new.erp and not new.source and "orders:read" in scopes:
        return [
            FieldViolation("source", "is needed too: for one ERP alone, the key would read the orders of every source")
        ]
    if new.source and not new.erp and "deliveries:read" in scopes:
        return [
            FieldViolation("erp", "is needed too: for one source alone, the key would read what waits for every ERP")
        ]
    return []


def _check_creator(creator: Principal, new: NewKey) -> None:
    """Raise PermissionDenied where *new* may do what *creator* may not."""
    if beyond := sorted(scopes_of(new.roles) - creator.scopes):
        told = {"required_scope": beyond[0]}
        raise PermissionDenied(
            f"the key may do more than your own: {', '.join(beyond)}", reason="SCOPE_MISSING", metadata=told
        )
    if not creator.speaks_for(new.source, new.erp):
        raise PermissionDenied("the key speaks for others than your own does", reason="OTHER_PARTY")

"""Who calls, and what a role may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tandem_proto.errors import PermissionDenied

CUSTOMERS = frozenset({"customers:read", "customers:write"})
ORDERS = frozenset({"orders:read", "orders:write"})
DELIVERIES = frozenset({"deliveries:read", "deliveries:write"})
IMPORTS = frozenset({"imports:read", "imports:write"})
EVENTS = frozenset({"events:read", "events:replay"})
READS = frozenset({"customers:read", "orders:read", "imports:read", "status:read"})

SCOPES: dict[str, frozenset[str]] = {
    "crm": CUSTOMERS | ORDERS | IMPORTS | {"customers:erase", "status:read"},
    "erp": DELIVERIES | {"deliveries:replay", "status:write"},
    "integration": READS | IMPORTS | EVENTS | {"exports:read"},
    "reports": READS | {"exports:read"},
    "operator": READS | EVENTS | {"deliveries:read", "deliveries:replay"},
    "admin": CUSTOMERS
    | ORDERS
    | DELIVERIES
    | IMPORTS
    | EVENTS
    | {
        "customers:erase",
        "deliveries:replay",
        "exports:read",
        "status:read",
        "status:write",
        "keys:read",
        "keys:write",
    },
}
"""What each role may do."""

SOURCE_ROLES = frozenset({"crm", "integration"})
"""Roles that act for one source."""

ERP_ROLES = frozenset({"erp"})
"""Roles that act for one ERP."""


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """Return what *roles* may do together; one that is not known may do nothing."""
    return frozenset().union(*(SCOPES.get(role, frozenset()) for role in roles))


@dataclass(frozen=True)
class Principal:
    """A caller: its name on timelines, the parties it speaks for, and its scopes.

    `source` is the party whose customers and orders it sees, None for all; `erp` the ERP whose orders it sees, None for
    all. A method that acts for one party needs that party to be set. `key_id` is the key's that it came with.
    """

    name: str
    source: str | None
    erp: str | None
    scopes: frozenset[str]
    key_id: str = ""

    @property
    def party(self) -> str:
        """Whom it speaks for, the same with each of a party's keys."""
        return f"{self.source or '*'}/{self.erp or '*'}"

    def speaks_for(self, source: str | None, erp: str | None) -> bool:
        """Tell whether who speaks for *source* and *erp* (None: for all) speaks for nobody that this one does not."""
        return self.source in (None, source) and self.erp in (None, erp)


@dataclass(frozen=True)
class Caller:
    """A principal in one call: what the timeline keeps of who did something, and from where.

    `traceparent` is of W3C Trace Context, empty where the caller sent none.
    """

    principal: Principal
    request_id: str = ""
    traceparent: str = ""

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits, or empty."""
        return self.traceparent[3:35]

    @property
    def source(self) -> str:
        """The party the caller writes for. Raises PermissionDenied where its key speaks for none."""
        if self.principal.source is None:
            raise PermissionDenied("this key belongs to no CRM: use the key of a party", reason="NO_PARTY")
        return self.principal.source

    @property
    def erp(self) -> str:
        """The ERP the caller works for. Raises PermissionDenied where its key speaks for none."""
        if self.principal.erp is None:
            raise PermissionDenied("this key belongs to no ERP: use the key of an ERP", reason="NO_PARTY")
        return self.principal.erp

"""Who calls, and what a role may do."""

from __future__ import annotations

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
ERP_ROLES = frozenset({"erp"})


@dataclass(frozen=True)
class Principal:
    """A caller: its name on timelines, the parties it speaks for, and its scopes.

    `source` is the party whose customers and orders it sees, None for all; `erp` the ERP whose orders it sees, None for
    all. A method that acts for one party needs that party to be set.
    """

    name: str
    source: str | None
    erp: str | None
    scopes: frozenset[str]


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


def principal_of(party: str, role: str) -> Principal:
    """Return the principal that speaks for *party* (empty: for all) in *role*. Raises KeyError for an unknown role."""
    return Principal(
        name=f"{role}:{party}" if party else role,
        source=(party or None) if role not in ERP_ROLES else None,
        erp=(party or None) if role not in SOURCE_ROLES else None,
        scopes=SCOPES[role],
    )

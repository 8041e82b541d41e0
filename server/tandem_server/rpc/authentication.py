"""Who makes a call. Until keys exist, whoever says so."""

from __future__ import annotations

import re

from tandem_proto.errors import PermissionDenied, Unauthenticated
from tandem_server.domain.principals import SCOPES, Principal, principal_of

PARTY = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}|")
DEVELOPER = Principal(name="dev", source="crm", erp="default", scopes=SCOPES["admin"])


def authenticate(authorization: str) -> Principal:
    """Return the principal of an `authorization` value.

    None, or `Bearer dev`, is party `crm` and ERP `default` with all scopes; `Bearer dev:<party>:<role>` is that party
    with that role. Raises Unauthenticated for anything else.
    """
    scheme, _, key = authorization.partition(" ")
    if not authorization or (scheme.lower(), key) == ("bearer", "dev"):
        return DEVELOPER
    parts = key.split(":")
    known = len(parts) == 3 and parts[0] == "dev" and PARTY.fullmatch(parts[1]) and parts[2] in SCOPES
    if scheme.lower() != "bearer" or not known:
        raise Unauthenticated("the key is not known", reason="UNKNOWN_KEY")
    return principal_of(parts[1], parts[2])


def authorize(principal: Principal, scope: str) -> None:
    """Raise PermissionDenied where *principal* lacks *scope*."""
    if scope and scope not in principal.scopes:
        message = f"{principal.name} may not do this: it needs the scope {scope}"
        raise PermissionDenied(message, reason="SCOPE_MISSING", metadata={"required_scope": scope})

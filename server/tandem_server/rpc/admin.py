"""The administrator's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from typing import Any

from tandem.admin.v1 import key_pb2
from tandem.admin.v1 import key_requests_pb2 as key_pb
from tandem.admin.v1.admin_service_pb2_grpc import AdminServiceServicer
from tandem_proto.errors import TandemError
from tandem_server.domain.principals import Caller, scopes_of
from tandem_server.rpc import contents, messages, pages
from tandem_server.rpc.calls import CALLER, Context, reads, set_header, writes
from tandem_server.storage import keys as stored_keys
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases import keys
from tandem_server.usecases.keyring import KeyRing


class AdminService(AdminServiceServicer):
    """`tandem.admin.v1.AdminService`; new keys say of which *environment* they are."""

    def __init__(self, database: Database, keyring: KeyRing, environment: str) -> None:
        self.database = database
        self._keyring = keyring
        self._environment = environment

    async def CreateKey(self, request: key_pb.CreateKeyRequest, _context: Context) -> key_pb.CreateKeyResponse:
        """Make a key outside of `@writes`, which would keep the reply to a call with an idempotency key."""
        creator, new = CALLER.get().principal, new_key(request.key)
        try:
            created = await self.database.write(lambda tx: keys.create(tx, creator, new, self._environment))
        except TandemError as error:
            error.within("key")
            raise
        set_header("cache-control", "no-store")  # RFC 6749, 5.1: nobody on the way keeps a secret
        return key_pb.CreateKeyResponse(key=key(created.row, created.text))

    @reads
    async def GetKey(self, request: key_pb.GetKeyRequest, tx: Transaction, caller: Caller) -> key_pb.GetKeyResponse:
        return key_pb.GetKeyResponse(key=key(await keys.find(tx, caller.principal, request.id)))

    @reads
    async def ListKeys(
        self, request: key_pb.ListKeysRequest, tx: Transaction, caller: Caller
    ) -> key_pb.ListKeysResponse:
        after_id, limit = pages.start_of(request), pages.size_of(request)
        rows, more = await stored_keys.page(tx, caller.principal, after_id=after_id, limit=limit)
        fitting, cut = pages.fitting([key(row) for row in rows])
        token = pages.token_after(request, fitting[-1].id) if more or cut else ""
        return key_pb.ListKeysResponse(keys=fitting, next_page_token=token)

    @writes
    async def RevokeKey(
        self, request: key_pb.RevokeKeyRequest, tx: Transaction, caller: Caller
    ) -> key_pb.RevokeKeyResponse:
        row = await keys.revoke(tx, caller.principal, request.id)
        tx.after_commit(lambda: self._keyring.forget(request.id))
        return key_pb.RevokeKeyResponse(key=key(row))


def new_key(message: key_pb2.Key) -> keys.NewKey:
    """Return what the caller asks of a key."""
    return keys.NewKey(
        name=message.name,
        roles=[key_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in message.roles],
        source=message.source or None,
        erp=message.erp or None,
        expires_at=contents.instant_of(message, "expires_at"),
    )


def key(row: Any, secret: str = "") -> key_pb2.Key:
    """Return a key's row as message, with its *secret* if this is the time to tell it."""
    instants = ("expires_at", "created_at", "last_used_at", "revoked_at")
    return key_pb2.Key(
        id=row.id,
        name=row.name,
        roles=[key_pb2.Role.Value(f"ROLE_{role.upper()}") for role in row.roles],
        source=row.source or "",
        erp=row.erp or "",
        scopes=sorted(scopes_of(row.roles)),
        secret=secret,
        created_by=row.created_by,
        **{name: messages.timestamp(getattr(row, name)) for name in instants},
    )

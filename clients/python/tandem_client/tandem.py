"""The client."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Self

import grpc

from tandem_client.caller import Caller
from tandem_client.customers import Customers
from tandem_client.erp import Erp
from tandem_client.exports import Exports
from tandem_client.imports import Imports
from tandem_client.orders import Orders
from tandem_client.webhooks import Webhooks
from tandem_proto.channel import dial

REQUEST_BYTES = 2 << 20
"""Requests up to this size are kept for a repetition."""


class Tandem:
    """A connection to Tandem. Make it inside a running event loop, and close it, or use it as a context.

    *target* is `grpcs://host:port`, encrypted, or `host:port`, in plain text. *key* says who calls; *timeout* is the
    deadline of every call, in seconds. *ca* is a PEM file of the certificates to trust instead of the system's;
    *credentials*, of gRPC, stand for all that TLS may need besides. Every failed call raises a TandemError.
    """

    def __init__(
        self,
        target: str,
        key: str,
        *,
        timeout: float = 30.0,
        ca: str | PathLike[str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        channel = dial(target, REQUEST_BYTES, ca=Path(ca) if ca else None, credentials=credentials)
        caller = Caller(channel, key, timeout)
        self._channel = caller.channel
        self.imports = Imports(caller)
        """Imports, and what became of their rows."""
        self.customers = Customers(caller, self.imports)
        """The CRM's customers."""
        self.orders = Orders(caller)
        """Orders: created and read by the CRM, pulled by the ERP."""
        self.erp = Erp(caller)
        """The ERP's side, call by call."""
        self.exports = Exports(caller)
        """Everything at once, as files."""
        self.webhooks = Webhooks(caller)
        """What ERPs told by webhook."""

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

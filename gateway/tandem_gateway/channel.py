"""The one gRPC channel to the server."""

from __future__ import annotations

import grpc

from tandem_gateway.settings import Settings
from tandem_proto.channel import dial


def open_channel(settings: Settings) -> grpc.aio.Channel:
    """Return a channel that connects when it is first used. Raises ValueError where it cannot be dialled as told."""
    no_proxy = ("grpc.enable_http_proxy", 0)  # only the settings read the environment
    return dial(settings.grpc, settings.http_body_bytes, no_proxy, ca=settings.grpc_ca)

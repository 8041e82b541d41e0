"""The one gRPC channel to the server."""

from __future__ import annotations

import grpc

from tandem_gateway.settings import Settings
from tandem_proto.channel import channel_options


def open_channel(settings: Settings) -> grpc.aio.Channel:
    """Return a channel that connects when it is first used, spreads calls over all servers and retries what it may."""
    options = channel_options(settings.http_body_bytes)
    # Only the settings read the environment.
    return grpc.aio.insecure_channel(settings.grpc, options=[*options, ("grpc.enable_http_proxy", 0)])

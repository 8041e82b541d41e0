"""The connection to Tandem, with everything that gRPC does on its own: pings, limits, repetitions."""

from __future__ import annotations

import grpc

from tandem_proto.channel import channel_options

REQUEST_BYTES = 2 << 20


def open_channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """Return a channel to *target*; without *credentials* it is not encrypted. It connects when it is first used."""
    options = channel_options(REQUEST_BYTES)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, credentials, options)

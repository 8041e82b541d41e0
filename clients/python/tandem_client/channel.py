"""The connection to Tandem, with everything that gRPC does on its own: pings, limits, repetitions."""

from __future__ import annotations

import json

import grpc

from tandem_proto.catalogue import methods

MIB = 1024 * 1024


def open_channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """Return a channel to *target*; without *credentials* it is not encrypted. It connects when it is first used."""
    options = [
        ("grpc.service_config", service_config()),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),  # a pull receives for hours and sends nothing
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.max_receive_message_length", 8 * MIB),
        ("grpc.max_send_message_length", -1),
        ("grpc.per_rpc_retry_buffer_size", 2 * MIB),  # a request above the buffer would not be repeated
    ]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, credentials, options)


def service_config() -> str:
    """Return gRPC's service config: what the contract calls harmless to repeat is repeated while UNAVAILABLE."""
    repeatable = [m for m in methods() if m.unary and m.repeatable]
    policy = {
        "maxAttempts": 5,
        "initialBackoff": "0.2s",
        "maxBackoff": "5s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    names = [{"service": m.service, "method": m.name} for m in repeatable]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": policy}]})

"""How whoever dials Tandem reconnects and repeats: gRPC's own means, told from the contract."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import grpc

from tandem_proto.catalogue import methods

RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "5s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
"""UNAVAILABLE is repeated (AIP-194), for the 7 s that a server may take to come back; so is CANCELLED where the
caller did not cancel: that is how a call ends which reached a server just when it stopped."""


SECURE = "grpcs://"


def dial(
    target: str,
    request_bytes: int,
    *options: tuple[str, int],
    ca: Path | None = None,
    credentials: grpc.ChannelCredentials | None = None,
) -> grpc.aio.Channel:
    """Return a channel to *target*, which connects when it is first used, spreads calls and repeats what it may.

    `grpcs://host:port`, or any target with a *ca* or *credentials*, is dialled by TLS: the server must show that it is
    the host, by a certificate of those in the PEM file *ca*, by default of those that the system trusts. All other
    targets are dialled in plain text. Raises ValueError where target or file cannot be used.
    """
    if target.startswith(("http://", "https://")):
        raise ValueError(f"{target} is an address for REST: gRPC is dialled by host:port, or by TLS grpcs://host:port")
    every = [*channel_options(request_bytes), *options]
    if not (target.startswith(SECURE) or ca or credentials):
        return grpc.aio.insecure_channel(target, every)
    credentials = credentials or grpc.ssl_channel_credentials(_trusted(ca))
    return grpc.aio.secure_channel(target.removeprefix(SECURE), credentials, every)


def _trusted(ca: Path | None) -> bytes | None:
    """Return the certificates of *ca*, or of the system; None where it has none and gRPC's own count."""
    system = ssl.get_default_verify_paths().cafile
    file = ca or (system and Path(system))
    try:
        if ca:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
        return file.read_bytes() if file else None
    except OSError as error:
        raise ValueError(f"{file} must be a file of certificates in PEM: {error.strerror or error}") from None


def channel_options(request_bytes: int) -> list[tuple[str, int | str]]:
    """Return the options of every channel to a server; requests of up to *request_bytes* are kept for a repetition."""
    return [
        ("grpc.service_config", service_config()),
        ("grpc.max_receive_message_length", 8 << 20),
        ("grpc.max_send_message_length", -1),
        ("grpc.per_rpc_retry_buffer_size", request_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),  # a pull receives for hours and sends nothing
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 5_000),  # which is how long connecting may take
        ("grpc.max_reconnect_backoff_ms", 1_000),  # a server that is back is found within a second
    ]


def service_config() -> str:
    """Return gRPC's service config: calls spread over all servers, and every unary one repeated, with back-off.

    Whoever dials sends one idempotency key with all attempts of a call that needs one (`Method.needs_key`).
    """
    names = [{"service": method.service, "method": method.name} for method in methods() if method.unary]
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}],
    }
    return json.dumps(config)

"""The one gRPC channel to the server."""

from __future__ import annotations

import grpc
import orjson

from tandem_gateway.settings import Settings
from tandem_proto.catalogue import Method, methods


def open_channel(settings: Settings) -> grpc.aio.Channel:
    """Return a channel that connects when it is first used, spreads calls over all servers and retries what it may."""
    options = {
        "grpc.service_config": orjson.dumps(service_config()).decode(),
        "grpc.max_receive_message_length": settings.grpc_message_bytes,
        "grpc.per_rpc_retry_buffer_size": settings.http_body_bytes,  # above the default of 256 KiB nothing is retried
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        "grpc.enable_http_proxy": 0,  # only the settings read the environment
    }
    return grpc.aio.insecure_channel(settings.grpc, options=list(options.items()))


def service_config() -> dict[str, object]:
    """Return gRPC's own configuration of calls: UNAVAILABLE is retried (AIP-194) where repeating is harmless."""
    names = [_name(method) for method in methods() if method.unary and method.repeatable]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": names, "retryPolicy": policy}],
    }


def _name(method: Method) -> dict[str, str]:
    return {"service": method.service, "method": method.name}

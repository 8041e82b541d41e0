"""How the server listens: what a connection may do, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

SENT_BYTES = 16 << 20


@dataclass(frozen=True)
class Connections:
    """Limits of the transport: *most* connections at one time, and *message_bytes* of one message that is received."""

    most: int
    message_bytes: int

    def options(self) -> list[tuple[str, int]]:
        """Return them as gRPC's options, with what keeps connections alive and lets none live for ever."""
        return [
            ("grpc.max_allowed_incoming_connections", self.most),
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_receive_message_length", self.message_bytes),
            ("grpc.max_send_message_length", SENT_BYTES),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.max_connection_age_ms", 3_600_000),
            ("grpc.max_connection_age_grace_ms", 900_000),  # what a long export or import still takes
            ("grpc.so_reuseport", 0),
        ]

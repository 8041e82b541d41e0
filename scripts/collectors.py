"""Collectors of telemetry as they may be: one that takes all, one that says nothing, and one that is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

SERVICES = ("trace.v1.Trace", "metrics.v1.Metrics")


@contextmanager
def taking() -> Iterator[str]:
    """Give the address of one that takes whatever comes, unread."""
    server = grpc.server(ThreadPoolExecutor(2))
    take: Any = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    for service in SERVICES:
        name = f"opentelemetry.proto.collector.{service}Service"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": take}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def silent() -> Iterator[str]:
    """Give the address of one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def dead() -> Iterator[str]:
    """Give an address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"

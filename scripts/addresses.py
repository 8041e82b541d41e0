"""Addresses for what is started beside others."""

from __future__ import annotations

import random
import socket

PORTS = range(10_000, 32_000)
"""Below those that Linux gives to connections going out: one of them could take the port before a server does."""


def free_address() -> str:
    """Return an address of this machine that nobody listens on. Raises OSError where a hundred are taken."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return f"127.0.0.1:{port}"
    raise OSError("no port is free")

"""What the server measures, as Prometheus reads it: `/metrics` at TANDEM_METRICS_LISTEN. It needs no key."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from tandem_proto.tls import Certificate

log = logging.getLogger(__name__)


class Request(WSGIRequestHandler):
    """One request; whoever says nothing for ten seconds, or does not agree on TLS, is cut off."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's signature
        """Prometheus asks every few seconds: that is not worth a line."""


class Listener(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread of its own, which nobody waits for at the end."""

    daemon_threads = True

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Tell of who broke off, or speaks something else, in a line like every other."""
        log.info("a request for metrics failed", extra={"error": type(sys.exception()).__name__})


class Listener6(Listener):
    """The same at an IPv6 address."""

    address_family = socket.AF_INET6


@contextmanager
def exposed(host: str, port: int, certificate: Certificate | None) -> Iterator[None]:
    """Serve metrics as long as the block runs, by TLS where there is a *certificate*. Raises OSError."""
    with (Listener6 if ":" in host else Listener)((host, port), Request) as server:
        server.set_app(make_wsgi_app())
        if certificate:  # hands are shaken in the request's thread: nobody keeps others waiting
            server.socket = certificate.context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

"""What the server process tells of itself: traces and metrics by OTLP, metrics at TANDEM_METRICS_LISTEN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tandem_proto import telemetry
from tandem_server.settings import Settings


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Tell of what the block does. Raises ValueError where TANDEM_METRICS_LISTEN cannot be listened on."""
    listen = settings.metrics_listen
    with telemetry.running(settings, "tandem-server", exposed=bool(listen)):
        if not listen:
            yield
            return
        with _exposed(listen):
            yield


@contextmanager
def _exposed(listen: str) -> Iterator[None]:
    from prometheus_client import start_http_server  # noqa: PLC0415 - loaded only where somebody looks

    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"))
    except OSError as error:
        raise ValueError(f"cannot listen on TANDEM_METRICS_LISTEN={listen}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""What the server process tells of itself: traces and metrics by OTLP, metrics at TANDEM_METRICS_LISTEN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tandem_proto import telemetry
from tandem_server.settings import Settings


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Tell of what the block does. Raises ValueError where TANDEM_METRICS_LISTEN cannot be listened on, or must not."""
    listen = settings.metrics_listen
    with telemetry.running(settings, "tandem-server", exposed=bool(listen)), ExitStack() as listening:
        if listen:
            from tandem_server.metrics import exposed  # noqa: PLC0415 - loaded only where somebody looks

            certificate = settings.certificate("metrics_listen")
            host, _, port = listen.rpartition(":")
            try:
                listening.enter_context(exposed(host.strip("[]"), int(port), certificate))
            except OSError as error:
                raise ValueError(f"cannot listen on TANDEM_METRICS_LISTEN={listen}: {error.strerror}") from error
        yield

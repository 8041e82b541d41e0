"""Whether this process tells of itself; where it need not, nothing for it is loaded."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from tandem_proto.settings import TelemetrySettings


def running(settings: TelemetrySettings, service: str, *, exposed: bool = False) -> AbstractContextManager[None]:
    """Return a context that tells of what is done in it, as *settings* say; *service* is the distribution's name.

    With *exposed*, metrics also go to the default registry of `prometheus_client`.
    """
    told = settings.otlp("traces") or settings.otlp("metrics") or exposed
    if settings.sdk_disabled or not told:
        return nullcontext()
    from tandem_proto import sdk  # noqa: PLC0415 - takes a tenth of a second and 8 MB

    return sdk.running(settings, service, exposed=exposed)

"""What every process can be told of telemetry: the standard variables of OpenTelemetry, and how logs look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

Protocol = Literal["grpc", "http/protobuf", ""]
Signal = Literal["traces", "metrics"]


class TelemetrySettings(BaseSettings):
    """Settings of traces, metrics and logs. The variables of OpenTelemetry that are not here its SDK reads itself."""

    model_config = SettingsConfigDict(env_prefix="TANDEM_", frozen=True, env_ignore_empty=True)

    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="json, console, or auto: console where standard error is a terminal"
    )
    otlp_endpoint: str = Field(
        default="",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="the collector that gets traces and metrics, as http://collector:4317; default: nobody",
    )
    otlp_traces_endpoint: str = Field(
        default="", validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", description="the collector that gets traces"
    )
    otlp_metrics_endpoint: str = Field(
        default="",
        validation_alias="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        description="the collector that gets metrics",
    )
    otlp_protocol: Protocol = Field(
        default="grpc", validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL", description="how it gets them: or http/protobuf"
    )
    otlp_traces_protocol: Protocol = Field(
        default="", validation_alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", description="the same for traces"
    )
    otlp_metrics_protocol: Protocol = Field(
        default="", validation_alias="OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", description="the same for metrics"
    )
    traces_exporter: Literal["otlp", "none"] = Field(
        default="otlp", validation_alias="OTEL_TRACES_EXPORTER", description="none: no traces for the collector"
    )
    metrics_exporter: Literal["otlp", "none"] = Field(
        default="otlp", validation_alias="OTEL_METRICS_EXPORTER", description="none: no metrics for the collector"
    )
    exemplars: Literal["always_off", "trace_based", "always_on"] = Field(
        default="always_off",
        validation_alias="OTEL_METRICS_EXEMPLAR_FILTER",
        description="measurements that name the trace they come from: none, those of traces that are kept, or all",
    )
    span_queue: int = Field(
        default=2048, gt=0, validation_alias="OTEL_BSP_MAX_QUEUE_SIZE", description="spans that wait to be sent at most"
    )
    sdk_disabled: bool = Field(
        default=False, validation_alias="OTEL_SDK_DISABLED", description="true: neither traces nor metrics"
    )

    def otlp(self, signal: Signal) -> Protocol:
        """Return how *signal* goes to its collector, empty where it has none or is turned off."""
        endpoint = getattr(self, f"otlp_{signal}_endpoint") or self.otlp_endpoint
        if self.sdk_disabled or not endpoint or getattr(self, f"{signal}_exporter") == "none":
            return ""
        return getattr(self, f"otlp_{signal}_protocol") or self.otlp_protocol

    @classmethod
    def variables(cls) -> Iterator[tuple[str, str, FieldInfo]]:
        """Yield of every setting, the process's own first, the variable, the name and what is declared of it."""
        for name, field in sorted(cls.model_fields.items(), key=lambda each: each[0] in TelemetrySettings.model_fields):
            yield str(field.validation_alias or f"TANDEM_{name.upper()}"), name, field


def written(value: object) -> str:
    """Return *value* of a setting as an environment file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

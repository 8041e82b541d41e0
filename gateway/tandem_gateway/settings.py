"""What can be set from outside; the only reader of the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tandem_proto.listening import ListeningSettings
from tandem_proto.settings import written


class Settings(ListeningSettings):
    """The gateway's settings, each read from the environment variable `TANDEM_<NAME>`.

    Raises pydantic.ValidationError for a value that does not fit.
    """

    http_listen: str = Field(
        default="127.0.0.1:8080",
        pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\[\]]+):[0-9]{1,5}$",
        description="host:port to serve REST on",
    )
    grpc: str = Field(
        default="127.0.0.1:50051", description="host:port of the server to call; by TLS: grpcs://host:port"
    )
    grpc_ca: Path | None = Field(
        default=None,
        description="PEM file of the authorities that the server's certificate may be of; default: the system's",
    )
    http_body_bytes: int = Field(default=4 << 20, gt=0, description="largest body of a request")
    http_buffer_bytes: int = Field(
        default=256 << 20, ge=0, description="what all bodies may take together, 64 KiB of each not counted"
    )
    http_upload_bytes: int = Field(default=1 << 30, gt=0, description="largest file, after decompression")
    http_read_seconds: float = Field(
        default=20, gt=0, description="time for a body to arrive, and between two pieces of a file"
    )
    http_idle_seconds: float = Field(
        default=30, gt=0, description="time for a request's head to arrive, and for a connection to stay idle"
    )
    http_write_seconds: float = Field(
        default=60, gt=0, description="time for a client to take more of a reply, once it is behind"
    )
    http_connections: int = Field(
        default=1000, ge=1, description="connections at most; above it, the one idle for longest makes room"
    )
    http_notice_seconds: float = Field(default=1, ge=0, description="how long /readyz says so before a stop")
    http_grace_seconds: float = Field(default=8, ge=0, description="time for running requests to end at a stop")
    http_call_seconds: float = Field(
        default=35, gt=0, description="deadline of a call; must stay above the longest long poll"
    )
    http_ready_seconds: float = Field(default=1, gt=0, description="time for the server to say that it is ready")

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of `http_listen`, an IPv6 host without its brackets."""
        host, _, port = self.http_listen.rpartition(":")
        return host.strip("[]"), int(port)

    def lines(self) -> list[str]:
        """Return every setting as a line that an environment file understands."""
        return [
            f"{variable}={written(getattr(self, name))}  # {field.description}"
            for variable, name, field in self.variables()
        ]

"""What every process can be told of how it listens: by TLS, or in plain text where nobody else hears it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field

from tandem_proto.settings import TelemetrySettings
from tandem_proto.tls import Certificate


class ListeningSettings(TelemetrySettings):
    """Settings of everything that a process listens on."""

    tls_cert: Path | None = Field(
        default=None, description="PEM file: the certificate to serve by, then those above it; default: plain text"
    )
    tls_key: Path | None = Field(default=None, description="PEM file: the private key of the certificate")
    plaintext: Literal["refuse", "allow"] = Field(
        default="refuse", description="allow: without a certificate, serve other machines too"
    )

    def certificate(self, *listeners: str) -> Certificate | None:
        """Return what to serve by at the addresses that the settings *listeners* name; None: in plain text.

        Raises ValueError where files do not fit, and where other machines would be served in plain text unasked.
        """
        if self.tls_cert and self.tls_key:
            return Certificate(self.tls_cert, self.tls_key)
        if self.tls_cert or self.tls_key:
            raise ValueError("TANDEM_TLS_CERT and TANDEM_TLS_KEY belong together: set both, or neither")
        for name in listeners if self.plaintext == "refuse" else ():
            if not is_local(address := getattr(self, name)):
                raise ValueError(
                    f"TANDEM_{name.upper()}={address} would serve other machines in plain text: set TANDEM_TLS_CERT "
                    "and TANDEM_TLS_KEY, listen on 127.0.0.1, or set TANDEM_PLAINTEXT=allow where the network is safe"
                )
        return None


def is_local(address: str) -> bool:
    """Tell whether only this machine can reach *address*, a host:port; nobody can reach an empty one."""
    if not address or address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

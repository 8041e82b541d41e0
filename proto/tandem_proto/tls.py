"""TLS for whoever listens: a certificate that can be replaced while connections go on."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import grpc

from tandem_proto.watched import Watched


class Pair(NamedTuple):
    """A certificate with those above it, and its key, as PEM; and what asyncio and threads serve them by."""

    chain: bytes
    key: bytes
    context: ssl.SSLContext


class Certificate:
    """What a listener shows, from PEM files: each new connection gets what is in them then, the others go on.

    Files that do not fit leave the pair before in use, with a warning. Raises ValueError, saying what is wrong, where
    they do not fit at first.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._pair = Watched("the TLS certificate", partial(_read, cert, key), cert, key)
        self._told = self._pair.latest()  # what gRPC knows

    @property
    def context(self) -> ssl.SSLContext:
        """What a socket is served by."""
        context = self._pair.latest().context
        context.sni_callback = self._choose
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a gRPC server is served by; whoever listens must hold on to it."""
        changed: Any = self._changed  # which returns None where nothing did, as gRPC says and its types do not
        return grpc.dynamic_ssl_server_credentials(_configuration(self._told), changed)

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._pair.latest().context

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        pair = self._pair.latest()
        if pair is self._told:
            return None
        self._told = pair
        return _configuration(pair)


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)])


def _read(cert: Path, key: Path) -> Pair:
    """Read both files. Raises ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        pair = Pair(cert.read_bytes(), key.read_bytes(), context)
        context.load_cert_chain(cert, key, _no_password)
    except ssl.SSLError as error:
        message = f"{cert} must be a certificate in PEM, and {key} its private key: {error.reason or error}"
        raise ValueError(message) from None
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from None
    return pair


def _no_password() -> NoReturn:
    raise ValueError("the key of a TLS certificate must not be encrypted: nobody is there to type its password")

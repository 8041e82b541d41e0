"""What passes between HTTP headers and gRPC metadata."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping

from tandem_proto.catalogue import Method
from tandem_proto.errors import Findings

REQUEST_ID = "x-request-id"
"""Names one request in the logs of all processes; echoed on every reply."""

IDEMPOTENCY_KEY = "idempotency-key"
"""Makes a write happen once, however often it is asked for."""

FORWARDED = {"authorization": 4096, IDEMPOTENCY_KEY: 255, REQUEST_ID: 200}
"""Headers that become metadata of the same name, and how long each may be."""

_PREFIX = "tandem-http-"
_PRINTABLE = re.compile(r"[\x20-\x7e]*")

Metadata = tuple[tuple[str, str], ...]


def request_id(headers: Mapping[str, str]) -> str:
    """Return the caller's request id, or a new one if there is none that can be used."""
    given = headers.get(REQUEST_ID, "")
    return given if given and _fits(REQUEST_ID, given) else uuid.uuid4().hex


def to_metadata(headers: Mapping[str, str], own_id: str) -> Metadata:
    """Return what a call carries on; raises InvalidArgument naming each header that is too long or not printable."""
    findings = Findings()
    metadata = {name: value for name in FORWARDED if (value := headers.get(name)) is not None}
    for name, value in metadata.items():
        if not _fits(name, value):
            findings.add(name, f"must be at most {FORWARDED[name]} printable ASCII characters")
    findings.check()
    return tuple((metadata | {REQUEST_ID: own_id}).items())


def with_key(metadata: Metadata, method: Method) -> Metadata:
    """Return *metadata* with an idempotency key for all attempts of the call, where *method* needs one and has none."""
    if not method.needs_key or any(name == IDEMPOTENCY_KEY for name, _ in metadata):
        return metadata
    return (*metadata, (IDEMPOTENCY_KEY, str(uuid.uuid4())))


def to_headers(*parts: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Return the HTTP headers that the server's initial and trailing metadata ask for, as `tandem-http-<name>`."""
    return {
        key.removeprefix(_PREFIX): value
        for metadata in parts
        for key, value in metadata or ()
        if key.startswith(_PREFIX) and isinstance(value, str)
    }


def _fits(name: str, value: str) -> bool:
    return len(value) <= FORWARDED[name] and _PRINTABLE.fullmatch(value) is not None

"""JSON as text: what arrives is parsed, what leaves is printed, both by orjson (RFC 8259)."""

from __future__ import annotations

from typing import Any

import orjson

from tandem_proto.errors import InvalidArgument

_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def loads(body: bytes) -> Any:
    """Parse *body*, an empty one as {}; raises InvalidArgument if it is not JSON, or nested too deeply to be ours."""
    try:
        return orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"The body is not JSON: {error}.", reason="NOT_JSON") from None


def dumps(document: Any) -> bytes:
    """Print what an encoder returned; its datetimes are in UTC."""
    return orjson.dumps(document, option=_OPTIONS)


def dump_line(document: Any) -> bytes:
    """Print what an encoder returned as one line of NDJSON."""
    return orjson.dumps(document, option=_OPTIONS | orjson.OPT_APPEND_NEWLINE)

"""JSON as text: what arrives is parsed, what leaves is printed, both by orjson (RFC 8259)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson

from tandem_proto.errors import InvalidArgument

_SPACED = (b" :", b"\t:", b"\r:", b"\n:")
_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def loads(body: bytes) -> Any:
    """Parse *body*, an empty one as {}; raises InvalidArgument if it is not JSON, or nested too deeply to be ours."""
    try:
        return orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"The body is not JSON: {error}.", reason="NOT_JSON") from None


def names_twice(body: bytes, names: int) -> set[str]:
    """Return the names that stand twice in one object of *body*, whose objects have as many *names* when parsed.

    orjson keeps the last of them and says nothing. As a name ends with `":`, counting these tells of nearly every body
    that there is none; of those with such an end in a text, or space before a colon, the standard library tells.
    """
    if body.count(b'":') == names and not any(spaced in body for spaced in _SPACED):
        return set()
    twice: set[str] = set()

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            twice.update(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)

    json.loads(body, object_pairs_hook=look)
    return twice


def dumps(document: Any) -> bytes:
    """Print what an encoder returned; its datetimes are in UTC."""
    return orjson.dumps(document, option=_OPTIONS)


def dump_line(document: Any) -> bytes:
    """Print what an encoder returned as one line of NDJSON."""
    return orjson.dumps(document, option=_OPTIONS | orjson.OPT_APPEND_NEWLINE)

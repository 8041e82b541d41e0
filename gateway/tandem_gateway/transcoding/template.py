"""Paths of `google.api.http` rules: "/v1/orders/{id}:cancel", matched on the raw request target.

Segments are compared before they are percent-decoded, so that ":", "/", "%" and any other character can stand in a
value. Of the template syntax only what the contract uses is known: literals, `{field.path}` for one whole segment, and
a verb behind the last segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tandem_proto.errors import InvalidArgument

_TEMPLATE = re.compile(r"(/([a-zA-Z0-9_.-]+(:[a-zA-Z]+)?|\{[a-z0-9_.]+\}))+(:[a-zA-Z]+)?")
_VARIABLE = re.compile(r"\{([a-z0-9_.]+)\}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Template:
    """A path template; raises ValueError for syntax that is not known."""

    text: str

    def __post_init__(self) -> None:
        if not _TEMPLATE.fullmatch(self.text):
            raise ValueError(f"{self.text}: not a path template of literals, {{field}} and :verb")

    @property
    def variables(self) -> tuple[str, ...]:
        """Field paths that the template binds, in order."""
        return tuple(_VARIABLE.findall(self.text))

    @property
    def segments(self) -> int:
        """How many segments a path needs to match."""
        return self.text.count("/")

    @property
    def pattern(self) -> re.Pattern[str]:
        """What matches a raw path; one group a variable."""
        parts = _VARIABLE.split(self.text)
        literals = [re.escape(literal) for literal in parts[::2]]
        return re.compile("([^/]+)".join(literals))

    @property
    def precedence(self) -> tuple[tuple[bool, bool], ...]:
        """Sorts templates of equal length: a literal segment before a variable, a verb before none."""
        return tuple((segment.startswith("{"), segment.endswith("}")) for segment in self.text.split("/"))


def decode(text: str) -> str:
    """Percent-decode *text* (RFC 3986); raises InvalidArgument for a bad escape or for bytes that are not UTF-8."""
    if "%" not in text and text.isascii():
        return text
    if _BAD_ESCAPE.search(text):
        raise InvalidArgument(f"{text!a} is not percent-encoded correctly")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise InvalidArgument(f"{text!a} is not percent-encoded UTF-8") from None

"""How long a list may be: what the contract says of it, and of those of which it says nothing."""

from __future__ import annotations

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

UNRULED = 1000
"""Items of a list that the contract has no rule for, as of those that only Tandem fills."""


def most_items(field: FieldDescriptor) -> int:
    """Return how many items the repeated *field*, a list or a map, may have.

    Who counts before it looks at the items, as both ends do, spends no time on a million of them.
    """
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return rules.repeated.max_items or rules.map.max_pairs or UNRULED


def too_many(field: FieldDescriptor) -> str:
    """Return what to say of *field* where there are more, in the words of protovalidate."""
    return f"must contain no more than {most_items(field)} item(s)"

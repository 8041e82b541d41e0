"""A quick look at whether a message keeps the contract's rules.

Most of our rules are one regular expression, which the validator evaluates as an expression of CEL: that takes 0.8 µs,
and 0.1 as a `pattern`. Here each type of message has a twin, told by the same contract, whose rules are patterns where
that is the same. A twin is only asked whether all is well: what is wrong, the contract's own words tell.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

EXPRESSION = re.compile(r"!rule \|\| (?P<empty>this == '' \|\| )?this\.matches\('(?P<pattern>(?:[^'\\]|\\\\)*)'\)")

TWINS = DescriptorPool()
VALIDATOR = protovalidate.Validator()
"""One for the twins alone: a validator knows types by their names."""


def keeps_rules(message: Message) -> bool:
    """Tell whether *message* keeps every rule that the contract has for its fields."""
    twin = _twin(message.DESCRIPTOR).FromString(message.SerializeToString())
    return not VALIDATOR.collect_violations(twin, fail_fast=True)


@cache
def _twin(descriptor: Descriptor) -> type[Message]:
    _add(descriptor.file)
    return GetMessageClass(TWINS.FindMessageTypeByName(descriptor.full_name))


@cache
def _add(file: FileDescriptor) -> None:
    """Add *file*, and first those that it is made of."""
    for part in file.dependencies:
        _add(part)
    twin = FileDescriptorProto()
    file.CopyToProto(twin)
    for message in twin.message_type:
        _tell_patterns(message)
    TWINS.Add(twin)


def _tell_patterns(message: DescriptorProto) -> None:
    for nested in message.nested_type:
        _tell_patterns(nested)
    for field in message.field:
        if field.options.HasExtension(validate_pb2.field):
            rules = field.options.Extensions[validate_pb2.field]
            for texts in (rules, rules.repeated.items, rules.map.keys, rules.map.values):
                _tell_pattern(texts.string)


def _tell_pattern(rules: Any) -> None:
    """Tell the one rule of ours among *rules* as a pattern, if it is nothing else."""
    ours = [field for field, value in rules.ListFields() if field.is_extension and value]
    if len(ours) != 1 or rules.HasField("pattern"):
        return
    expressions = ours[0].GetOptions().Extensions[validate_pb2.predefined].cel
    if len(expressions) == 1 and (told := EXPRESSION.fullmatch(expressions[0].expression)):
        rules.ClearExtension(ours[0])
        rules.pattern = ("^$|" if told["empty"] else "") + told["pattern"].replace("\\\\", "\\")

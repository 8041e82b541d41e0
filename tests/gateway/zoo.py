"""A message with a field of every kind, and messages to JSON and back in one line."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandem_gateway.transcoding import json
from tandem_proto.errors import Findings
from tandem_proto.json.decoding import decoder
from tandem_proto.json.encoding import encoder

SIGNS = ("int", "uint", "sint", "fixed", "sfixed")


def zoo() -> Descriptor:
    """A recursive message with a field of every kind that has a JSON form, and a name that is Python's own."""
    kinds = ["bool", "string", "bytes", *(f"{sign}{bits}" for sign in SIGNS for bits in (32, 64))]
    message = descriptor_pb2.DescriptorProto(name="Zoo")
    message.enum_type.add(name="Kind").value.add(name="KIND_UNSPECIFIED", number=0)
    message.enum_type[0].value.add(name="KIND_LION", number=-1)
    entry = message.nested_type.add(name="CountsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=3, label=1)
    message.oneof_decl.add(name="choice")
    for kind in kinds:
        number = len(message.field) + 1
        kind_number = FieldDescriptor.__dict__[f"TYPE_{kind.upper()}"]
        message.field.add(name=f"a_{kind}", number=number, type=kind_number, label=1)
        message.field.add(name=f"many_{kind}", number=number + 1, type=kind_number, label=3)
    message.field.add(name="kind", number=50, type=14, type_name=".zoo.Zoo.Kind", label=1)
    message.field.add(name="from", number=51, type=9, label=1)
    message.field.add(name="self", number=52, type=11, type_name=".zoo.Zoo", label=1)
    message.field.add(name="many_selves", number=53, type=11, type_name=".zoo.Zoo", label=3)
    message.field.add(name="counts", number=54, type=11, type_name=".zoo.Zoo.CountsEntry", label=3)
    message.field.add(name="this", number=55, type=9, label=1, oneof_index=0)
    message.field.add(name="that", number=56, type=9, label=1, oneof_index=0)
    message.field.add(name="mask", number=57, type=11, type_name=".google.protobuf.FieldMask", label=1)
    file = descriptor_pb2.FileDescriptorProto(name="zoo.proto", package="zoo", syntax="proto3", message_type=[message])
    file.dependency.append("google/protobuf/field_mask.proto")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindMessageTypeByName("zoo.Zoo")


ZOO = zoo()


def encoded(message: Any) -> bytes:
    return json.dumps(encoder(message.DESCRIPTOR)(message))


def decoded(kind: Any, document: Any) -> Message:
    message: Message = GetMessageClass(kind)()
    findings = Findings()
    decoder(kind).read(message, document, findings)
    findings.check()
    return message

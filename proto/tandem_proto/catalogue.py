"""Every method of the contract, with what its annotations say about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandem.admin.v1 import admin_service_pb2
from tandem.crm.v1 import crm_service_pb2
from tandem.erp.v1 import erp_service_pb2
from tandem.integration.v1 import integration_service_pb2
from tandem.options.v1 import method_pb2

SERVICES: tuple[ServiceDescriptor, ...] = (
    crm_service_pb2.DESCRIPTOR.services_by_name["CrmService"],
    erp_service_pb2.DESCRIPTOR.services_by_name["ErpService"],
    integration_service_pb2.DESCRIPTOR.services_by_name["IntegrationService"],
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
)


@dataclass(frozen=True, eq=False)
class Method:
    """One RPC of the contract.

    `path` is its gRPC path ("/package.Service/Method"); `http` its REST bindings, the first the main one; `signed` is
    true where callers are known by a webhook's signature, and not by a key that holds `required_scope`;
    `repeatable` is true where the contract calls a repetition harmless (`idempotency_level`), `safe` where the method
    changes nothing at all.
    """

    descriptor: MethodDescriptor
    path: str
    request: type[Message]
    response: type[Message]
    required_scope: str
    signed: bool
    repeatable: bool
    safe: bool
    http: tuple[http_pb2.HttpRule, ...]

    @property
    def name(self) -> str:
        """The method's own name, as in "CreateOrder"."""
        return str(self.descriptor.name)

    @property
    def service(self) -> str:
        """The full name of the method's service, as in "tandem.crm.v1.CrmService"."""
        return str(self.descriptor.containing_service.full_name)

    @property
    def unary(self) -> bool:
        """True where one request has one response."""
        return not (self.descriptor.client_streaming or self.descriptor.server_streaming)

    @property
    def needs_key(self) -> bool:
        """True where a repetition does harm unless both calls carry the same idempotency key."""
        return self.unary and not self.repeatable


@cache
def methods() -> tuple[Method, ...]:
    """Return every method of every service; raises ValueError for one that nobody guards, or two guards do."""
    return tuple(_read(descriptor) for service in SERVICES for descriptor in service.methods)


def _read(descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions()
    path = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
    scope = options.Extensions[method_pb2.required_scope]
    signed = options.Extensions[method_pb2.authentication] == method_pb2.AUTHENTICATION_WEBHOOK_SIGNATURE
    if bool(scope) == signed:
        raise ValueError(f"{path} needs either required_scope or another authentication: nothing is served unguarded")
    rule = options.Extensions[annotations_pb2.http]
    return Method(
        descriptor=descriptor,
        path=path,
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
        required_scope=scope,
        signed=signed,
        repeatable=options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
        safe=options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        http=(rule, *rule.additional_bindings) if rule.WhichOneof("pattern") else (),
    )

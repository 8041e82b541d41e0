"""Customers, as the CRM sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike

from google.protobuf.field_mask_pb2 import FieldMask

from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.customer_requests_pb2 import (
    CreateCustomerRequest,
    EraseCustomerRequest,
    EraseCustomerResponse,
    GetCustomerRequest,
    ListCustomersRequest,
    ListCustomersResponse,
    UpdateCustomerRequest,
    UpsertCustomerRequest,
    UpsertCustomerResponse,
)
from tandem.integration.v1.import_pb2 import Import
from tandem_client.caller import Caller
from tandem_client.imports import Imports, Progress
from tandem_client.pages import Pages


def _customers(page: ListCustomersResponse) -> Iterable[Customer]:
    return page.customers


class Customers:
    """The customers of the caller's party."""

    def __init__(self, caller: Caller, imports: Imports) -> None:
        self._caller = caller
        self._imports = imports
        self._stub = CrmServiceStub(caller.channel)
        self.list = Pages(caller, self._stub.ListCustomers, ListCustomersRequest, _customers)
        """Iterate over customers, oldest first; the filters are the fields of ListCustomersRequest."""

    async def create(self, customer: Customer) -> Customer:
        """Create *customer* and return it as stored. The same content again changes nothing."""
        request = CreateCustomerRequest(customer=customer)
        response = await self._caller.unary(self._stub.CreateCustomer, request)
        return response.customer

    async def upsert(self, customer: Customer) -> UpsertCustomerResponse:
        """Store *customer* as it is now, under its external_id; `outcome` says what that changed."""
        return await self._caller.unary(self._stub.UpsertCustomer, UpsertCustomerRequest(customer=customer))

    async def get(self, customer_id: str = "", *, external_id: str = "") -> Customer:
        """Return one customer, by Tandem's id or by the CRM's."""
        request = GetCustomerRequest(id=customer_id, external_id=external_id)
        response = await self._caller.unary(self._stub.GetCustomer, request)
        return response.customer

    async def update(
        self,
        customer_id: str,
        customer: Customer,
        *,
        fields: Iterable[str] = (),
        etag: str = "",
        idempotency_key: str = "",
    ) -> Customer:
        """Change the *fields* named (none: all that *customer* fills), only if the customer still has this *etag*.

        The same again under the same *idempotency_key* changes nothing and returns what the first call did.
        """
        mask = FieldMask(paths=fields)
        request = UpdateCustomerRequest(id=customer_id, customer=customer, update_mask=mask, etag=etag)
        response = await self._caller.unary(self._stub.UpdateCustomer, request, idempotency_key=idempotency_key)
        return response.customer

    async def erase(self, customer_id: str, *, cancel_open_orders: bool = False) -> EraseCustomerResponse:
        """Erase a customer for good, with every text of its orders. Ask again until `outcome` is ERASED.

        Raises FailedPrecondition with reason ORDERS_OPEN while orders are open, unless they are to be called off: then
        the outcome is WAITING until the ERP has answered.
        """
        request = EraseCustomerRequest(id=customer_id, cancel_open_orders=cancel_open_orders)
        return await self._caller.unary(self._stub.EraseCustomer, request)

    async def import_(
        self,
        source: str | PathLike[str] | Iterable[Customer],
        *,
        import_id: str = "",
        columns: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Import:
        """Import a CSV or NDJSON file (by its path, with or without .gz) or *source*'s customers; return how it ended.

        *columns* tells the fields of a CSV's columns that are called otherwise: {"E-Mail": "email", "Fax": ""}. A row
        that is wrong ends in `tandem.imports.rows` rather than here, unless it is *all_or_nothing*. What is cut off is
        sent again, and goes on where it stopped; to go on in another process, choose the *import_id*.
        """
        return await self._imports.customers(
            source,
            import_id=import_id,
            columns=columns,
            all_or_nothing=all_or_nothing,
            dry_run=dry_run,
            progress=progress,
        )

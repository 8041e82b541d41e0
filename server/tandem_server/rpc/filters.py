"""Filters of lists and exports, which have the same names in every request."""

from __future__ import annotations

from tandem.crm.v1.customer_requests_pb2 import ListCustomersRequest
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.crm.v1.order_requests_pb2 import ListOrdersRequest
from tandem.integration.v1.export_requests_pb2 import (
    ExportCustomersRequest,
    ExportOrderLinesRequest,
    ExportOrdersRequest,
)
from tandem_server.domain.principals import Principal
from tandem_server.rpc.contents import instant_of
from tandem_server.storage.customers import CustomerFilters
from tandem_server.storage.orders import OrderFilters


def customer_filters(request: ListCustomersRequest | ExportCustomersRequest, principal: Principal) -> CustomerFilters:
    """Return which of the customers that *principal* may see *request* asks for."""
    return CustomerFilters(
        source=principal.source,
        email=request.email,
        external_id=request.external_id,
        erp_number=request.erp_number,
        updated_after=instant_of(request, "updated_after"),
        updated_before=instant_of(request, "updated_before"),
    )


def order_filters(
    request: ListOrdersRequest | ExportOrdersRequest | ExportOrderLinesRequest, principal: Principal
) -> OrderFilters:
    """Return which of the orders that *principal* may see *request* asks for."""
    return OrderFilters(
        source=principal.source,
        statuses=[OrderStatus.Name(number).removeprefix("ORDER_STATUS_") for number in request.status],
        customer_id=request.customer_id,
        external_id=request.external_id,
        created_after=instant_of(request, "created_after"),
        created_before=instant_of(request, "created_before"),
        updated_after=instant_of(request, "updated_after"),
        updated_before=instant_of(request, "updated_before"),
    )

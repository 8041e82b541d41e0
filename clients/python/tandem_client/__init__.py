"""Tandem's Python client.

`Tandem` is where everything starts. Its methods take and return the messages of the contract, of which the most used
ones are here too, and raise errors of the family in `tandem_proto.errors`, all of which are here as well.
"""

from tandem.crm.v1.address_pb2 import Address
from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.status_update_pb2 import StatusUpdate
from tandem.integration.v1.export_pb2 import Export, ExportFormat
from tandem_client import webhooks
from tandem_client.deliveries import Deliveries
from tandem_client.delivery import Delivery, StaleLease
from tandem_client.tandem import Tandem
from tandem_proto.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    EtagMismatch,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    TandemError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)

__all__ = [
    "Aborted",
    "Address",
    "AlreadyExists",
    "Cancelled",
    "Customer",
    "DataLoss",
    "DeadlineExceeded",
    "Deliveries",
    "Delivery",
    "EtagMismatch",
    "Export",
    "ExportFormat",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "Order",
    "OrderLine",
    "OrderStatus",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "StaleLease",
    "StatusUpdate",
    "Tandem",
    "TandemError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "webhooks",
]

"""An order in the hands of this worker, which finishes itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.order_pb2 import Order
from tandem.erp.v1 import delivery_pb2
from tandem.erp.v1.delivery_pb2 import DeliveryKind
from tandem.erp.v1.delivery_requests_pb2 import (
    Acknowledgement,
    AcknowledgementOutcome,
    AcknowledgementResult,
    Rejection,
    RejectionOutcome,
    RejectionResult,
)
from tandem_client.coalescing import Coalesced
from tandem_proto.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, TandemError


class StaleLease(Aborted):
    """The lease was lost: another worker has the order, or will have it. What was asked for did not happen."""


REFUSALS: dict[str, type[TandemError]] = {
    "STALE_LEASE": StaleLease,
    "NOT_FOUND": NotFound,
    "DOCUMENT_CONFLICT": FailedPrecondition,
    "DOCUMENT_REQUIRED": InvalidArgument,
}
"""The outcomes that are errors, by name; the others say that it was done."""


@dataclass(frozen=True)
class Desk:
    """Where deliveries are finished: the two ways out, and the deliveries that are not finished."""

    acknowledge: Coalesced[Acknowledgement, AcknowledgementResult]
    reject: Coalesced[Rejection, RejectionResult]
    held: set[Delivery]


class Delivery:
    """One delivery of an order, under a lease that is extended until it is acknowledged, rejected or released.

    `lost` turns true when the order has gone to another worker all the same: drop the work then. `message` is the
    delivery as the contract has it.
    """

    def __init__(self, message: delivery_pb2.Delivery, desk: Desk) -> None:
        self.message = message
        self.lost = False
        self._desk = desk

    @property
    def order(self) -> Order:
        """The order as it was when it was leased."""
        return self.message.order

    @property
    def customer(self) -> Customer:
        """The order's customer."""
        return self.message.customer

    @property
    def kind(self) -> DeliveryKind.ValueType:
        """What the ERP has to do: store the order, change it, or call it off."""
        return self.message.kind

    async def acknowledge(self, erp_document: str = "", *, customer_number: str = "") -> None:
        """Say that the ERP has stored the order, under *erp_document* (required the first time).

        Raises StaleLease if the lease was lost, and FailedPrecondition with reason DOCUMENT_CONFLICT if the order has
        another document, or the document another order. After any other error it is safe to ask again.
        """
        acknowledgement = Acknowledgement(
            order_id=self.message.order.id,
            lease_token=self.message.lease_token,
            erp_document=erp_document,
            customer_number=customer_number,
        )
        with self._finishing():
            result = await self._desk.acknowledge(acknowledgement)
            _check(AcknowledgementOutcome.Name(result.outcome), result.message)

    async def reject(
        self, code: str, reason: str, *, field: str = "", permanent: bool = False, retry_after_seconds: int = 0
    ) -> None:
        """Say that the ERP has not stored the order: *code* for programs (as in "UNKNOWN_SKU"), *reason* for people.

        The order comes again after a while (*retry_after_seconds*, or Tandem's back-off), or never (*permanent*).
        Raises StaleLease if the lease was lost.
        """
        rejection = self._rejection(code, reason)
        rejection.field = field
        rejection.permanent = permanent
        rejection.retry_after_seconds = retry_after_seconds
        await self._reject(rejection)

    async def release(self) -> None:
        """Give the order back at once, without a failure. Raises StaleLease if the lease was lost."""
        await self._reject(self.given_back())

    def given_back(self) -> Rejection:
        """Return the rejection that gives the order back."""
        rejection = self._rejection("RELEASED", "The worker gave the order back.")
        rejection.release = True
        return rejection

    def _rejection(self, code: str, reason: str) -> Rejection:
        message = self.message
        return Rejection(order_id=message.order.id, lease_token=message.lease_token, code=code, reason=reason)

    async def _reject(self, rejection: Rejection) -> None:
        with self._finishing():
            result = await self._desk.reject(rejection)
            _check(RejectionOutcome.Name(result.outcome))

    @contextmanager
    def _finishing(self) -> Iterator[None]:
        """Count as finished while the server is asked, and as held again where it did not agree."""
        self._desk.held.discard(self)
        try:
            yield
        except (StaleLease, NotFound):
            self.lost = True
            raise
        except BaseException:
            self._desk.held.add(self)
            raise


def _check(outcome: str, message: str = "") -> None:
    reason = outcome.partition("_OUTCOME_")[2]
    if error := REFUSALS.get(reason):
        raise error(message or f"the order was not finished: {reason}", reason=reason)

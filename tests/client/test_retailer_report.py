"""What the demo says of refusals."""

from retailer.crm import Refusal, refusal
from retailer.invoices import grouped
from retailer.report import alike
from retailer.sample import rows

from tandem_client import FieldViolation, InvalidArgument

INVOICE = grouped(rows())[0]


def refused(*fields: str) -> Refusal:
    return refusal(INVOICE, InvalidArgument("wrong", fields=[FieldViolation(field, "is wrong") for field in fields]))


def test_a_fault_of_many_lines_is_told_once_by_its_first_line() -> None:
    told = refused("order.lines[3].quantity", "order.lines[4].quantity", "order.customer_id")
    assert told.why == "INVALID_ARGUMENT order.customer_id order.lines[].quantity"
    assert told.says == "order.lines[3].quantity is wrong; order.customer_id is wrong"


def test_refusals_for_the_same_reason_are_counted_together() -> None:
    groups = alike([refused("a"), refused("order.lines[1].sku"), refused("order.lines[2].sku")])
    assert [(group.why, group.orders) for group in groups] == [
        ("INVALID_ARGUMENT order.lines[].sku", 2),
        ("INVALID_ARGUMENT a", 1),
    ]

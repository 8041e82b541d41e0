"""The demo's table: what is cleaned, what is left for Tandem to refuse."""

import gzip
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from retailer.books import Entry
from retailer.countries import CODES
from retailer.crm import order
from retailer.invoices import COLUMNS, Invoice, amount, grouped, read
from retailer.sample import rows


def row(number: str = "536365", quantity: str = "6", price: str = "2.55", **others: str) -> dict[str, str]:
    cells = {
        "InvoiceNo": number,
        "StockCode": " 85123A ",
        "Description": "WHITE LANTERN  ",
        "Quantity": quantity,
        "InvoiceDate": "2011-07-01 08:26:00",
        "UnitPrice": price,
        "CustomerID": "17850.0",
        "Country": "United Kingdom",
    }
    return cells | others


def only(*rows: dict[str, str]) -> Invoice:
    (invoice,) = grouped(rows)
    return invoice


def test_a_customer_has_no_decimals_and_text_no_spaces_around_it() -> None:
    invoice = only(row())
    assert invoice.customer == "17850"
    assert invoice.lines[0][:2] == ("85123A", "WHITE LANTERN")


def test_lines_of_one_invoice_need_not_be_neighbours() -> None:
    invoices = grouped([row("1"), row("2"), row("1", quantity="7")])
    assert [(i.number, [line.quantity for line in i.lines]) for i in invoices] == [("1", ["6", "7"]), ("2", ["6"])]


def test_the_first_line_tells_the_time_which_is_londons() -> None:
    message = order(only(row(), row(InvoiceDate="2011-07-01 09:00:00")))
    assert message.ordered_at.ToDatetime(UTC) == datetime(2011, 7, 1, 7, 26, tzinfo=UTC)


def test_an_invoice_without_one_customer_has_none() -> None:
    assert only(row(), row(CustomerID="")).customer == ""
    assert only(row(), row(CustomerID="17851.0")).customer == ""


@pytest.mark.parametrize(
    "bad",
    [row("C536365"), row("A536365"), row(quantity="0"), row(quantity="-1"), row(price="-0.01"), row(CustomerID="")],
)
def test_what_is_no_sale_is_not_valid(bad: dict[str, str]) -> None:
    assert only(row(price="0.0")).valid
    assert not only(bad).valid


def test_half_a_penny_is_rounded_up() -> None:
    assert amount("1", "0.005") == Decimal("0.01")
    assert Entry.counted("1", only(row(price="2.555"), row(price="0.001")).lines).amount == Decimal("15.34")


def test_an_order_names_the_country_by_its_code_where_it_has_one() -> None:
    assert order(only(row(Country="EIRE"))).shipping_address.country == "IE"
    assert order(only(row(Country="Channel Islands"))).shipping_address.country == ""
    assert len(CODES) == 38


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_may_be_compressed(tmp_path: Path, compressed: bool) -> None:
    text = "\r\n".join([",".join(COLUMNS), ",".join(row().values())]).encode()
    file = tmp_path / "orders"
    file.write_bytes(gzip.compress(text) if compressed else text)
    assert list(read(file)) == [row()]


def test_another_table_is_refused_by_name_of_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("InvoiceNo,StockCode\n1,2\n")
    with pytest.raises(SystemExit, match="Country, CustomerID"):
        list(read(file))


def test_the_sample_is_always_the_same_and_has_every_fault() -> None:
    invoices = grouped(rows())
    assert invoices == grouped(rows())
    assert Counter(i.kind for i in invoices if not i.valid).keys() == {"sale", "credit note", "adjustment"}
    assert sum(i.valid for i in invoices) > len(invoices) / 2

from __future__ import annotations

import pytest
from zoo import ZOO, decoded, encoded

from tandem.crm.v1 import customer_pb2, order_pb2, order_progress_pb2
from tandem_gateway.transcoding import json
from tandem_proto.errors import InvalidArgument
from tandem_proto.json import values


def test_a_page_prints_as_documented() -> None:
    order = order_pb2.Order(id="ord_1", status=order_progress_pb2.ORDER_STATUS_NEW, attributes={"a": "b"})
    order.created_at.FromJsonString("2010-12-01T10:26:00.5+02:00")
    printed = encoded(order).decode()
    assert '"status":"NEW"' in printed
    assert '"attributes":{"a":"b"}' in printed
    assert '"created_at":"2010-12-01T08:26:00.500000Z"' in printed
    assert '"lines":[]' in printed
    assert "billing_address" not in printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("2010-12-01T08:26:00Z", "2010-12-01T08:26:00Z"),
        ("2010-12-01t08:26:00.1z", "2010-12-01T08:26:00.100000Z"),
        ("2010-12-01T00:26:00.123456000-08:00", "2010-12-01T08:26:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"),
    ],
)
def test_instants_are_exact_in_any_offset(text: str, printed: str) -> None:
    assert json.dumps(values.write_instant(values.read_instant(text))) == f'"{printed}"'.encode()


@pytest.mark.parametrize(
    "text",
    [
        *("2010-12-01", "2010-12-01T08:26Z", "2010-12-01T08:26:00", "2010-12-01 08:26:00Z", "20101201T082600Z", ""),
        *("2010-02-30T00:00:00Z", "2010-12-01T24:00:00Z", "2010-12-01T08:26:60Z", "0001-01-01T00:00:00+01:00"),
        *("9999-12-31T23:59:59-01:00", "2010-12-01T08:26:00.1234567Z", "٢010-12-01T08:26:00Z", 1291191960, True),
    ],
)
def test_what_is_no_exact_instant_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        values.read_instant(text)


def test_every_wrong_field_is_named() -> None:
    document = {
        "external_id": 7,
        "nonsense": 1,
        "note": ["x"],
        "status": "OLD",
        "revision": 1.5,
        "prices_include_tax": "true",
        "attachments": {},
        "attributes": {"a": 1},
        "billing_address": "here",
        "created_at": "today",
        "currency": "GBP",
        "invoice_numbers": ["1", 2],
        "lines": [{"quantity": "1"}, {"quantity": 2.5, "line_number": 1 << 31}, None],
    }
    with pytest.raises(InvalidArgument) as refused:
        decoded(order_pb2.Order.DESCRIPTOR, document)
    assert [found.field for found in refused.value.fields] == [
        *("external_id", "nonsense", "note", "status", "revision", "prices_include_tax", "attachments", "attributes.a"),
        *("billing_address", "created_at", "invoice_numbers[1]", "lines[1].quantity", "lines[1].line_number"),
        "lines[2]",
    ]
    assert refused.value.fields[11].description == 'must be a string: write "2.5", in quotes'


@pytest.mark.parametrize("value", ["NEW", "ORDER_STATUS_NEW", 1])
def test_enums_go_by_short_name_full_name_or_number(value: object) -> None:
    assert decoded(order_pb2.Order.DESCRIPTOR, {"status": value}) == order_pb2.Order(
        status=order_progress_pb2.ORDER_STATUS_NEW
    )


@pytest.mark.parametrize("value", ["new", "", 77, True, 1.0])
def test_other_enum_values_are_refused(value: object) -> None:
    with pytest.raises(InvalidArgument, match="must be one of NEW, ACKNOWLEDGED"):
        decoded(order_pb2.Order.DESCRIPTOR, {"status": value})


def test_null_is_as_good_as_absent() -> None:
    assert decoded(customer_pb2.Customer.DESCRIPTOR, {"name": None, "attributes": None}) == customer_pb2.Customer()


def test_both_names_of_one_field_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="twice"):
        decoded(customer_pb2.Customer.DESCRIPTOR, {"external_id": "1", "externalId": "2"})


def test_two_fields_of_one_choice_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="that cannot be there with this"):
        decoded(ZOO, {"this": "", "that": "x"})


def test_deep_nesting_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgument, match="deep"):
        decoded(ZOO, json.loads(b'{"self":' * 1000 + b"{}" + b"}" * 1000))
    with pytest.raises(InvalidArgument, match="not JSON"):
        json.loads(b"[" * 100_000)


@pytest.mark.parametrize(
    "body", [b"x", b'{"a":1}{}', b'"\xff"', rb'"\ud800"', b"NaN", b"{'a':1}", b"\xef\xbb\xbf{}", b"[1,]", b"\0"]
)
def test_what_is_not_json_is_an_invalid_argument(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match="not JSON"):
        json.loads(body)


def test_a_hundred_findings_are_enough() -> None:
    with pytest.raises(InvalidArgument) as refused:
        decoded(order_pb2.Order.DESCRIPTOR, {f"x{n}": 1 for n in range(1000)})
    assert len(refused.value.fields) == 100

from __future__ import annotations

from typing import Any

import pytest

from tandem_gateway.transcoding.request import Incoming, RequestReader
from tandem_gateway.transcoding.template import Template
from tandem_proto.catalogue import methods
from tandem_proto.errors import InvalidArgument


def read(binding: str, body: bytes = b"", query: str = "", if_match: str | None = None, **variables: str) -> Any:
    """Read a request of *binding*, as in "GET /v1/orders"; in *variables* "__" stands for a dot."""
    verb, _, path = binding.partition(" ")
    method, rule = next(
        (method, rule) for method in methods() for rule in method.http if getattr(rule, verb.lower()) == path
    )
    named = {name.replace("__", "."): value for name, value in variables.items()}
    return RequestReader(method, rule, verb, Template(path)).read(Incoming(named, query, body, if_match))


def wrong(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        read(*args, **kwargs)
    return [found.field for found in refused.value.fields]


CREATE, UPSERT = "POST /v1/customers", "PUT /v1/customers/external/{customer.external_id}"
PATCH, LIST, GET = "PATCH /v1/customers/{id}", "GET /v1/orders", "GET /v1/orders/{id}"


def test_a_body_fills_the_field_it_is_bound_to() -> None:
    assert read(CREATE, b'{"name":"n"}').customer.name == "n"
    assert read("POST /v1/erp/orders:lease", b'{"worker":"w"}').worker == "w"


def test_an_empty_body_is_an_empty_message() -> None:
    assert read(CREATE).HasField("customer")


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b"5", b'"x"', b"null", b"true"])
def test_a_body_must_be_an_object(body: bytes) -> None:
    assert wrong(CREATE, body) == ["body"]
    assert wrong("POST /v1/erp/orders:lease", body) == ["body"]


def test_a_body_that_nobody_reads_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no body"):
        read(GET, b"{}", id="1")


def test_query_parameters_fill_the_rest() -> None:
    query = "status=NEW&status=ORDER_STATUS_SHIPPED&page_size=5&createdAfter=2020-01-01T00:00:00Z&external_id=a+b%2Bc"
    request = read(LIST, query=query)
    assert list(request.status) == [1, 5]
    assert (request.page_size, request.created_after.seconds) == (5, 1_577_836_800)
    assert request.external_id == "a b+c"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("nope=1&page_size=x", ["nope", "page_size"]),
        ("page_size=1&page_size=2", ["page_size"]),
        ("page_size=1&pageSize=2", ["page_size"]),
        ("status=OLD", ["status[0]"]),
        ("created_after.seconds=1", ["created_after.seconds"]),
        ("created_after=", ["created_after"]),
        ("=1", [""]),
    ],
)
def test_wrong_query_parameters_are_named(query: str, fields: list[str]) -> None:
    assert wrong(LIST, query=query) == fields


@pytest.mark.parametrize("query", ["page_token=%ff", "page_token=%", "%zz=1"])
def test_a_badly_escaped_query_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgument, match="percent-encoded"):
        read(LIST, query=query)


def test_what_path_or_body_tell_is_not_for_the_query() -> None:
    assert wrong(GET, query="id=2", id="1") == ["id"]
    assert wrong(CREATE, query="customer.name=x") == ["customer.name"]
    assert wrong("POST /v1/erp/orders:lease", b"{}", query="worker=w") == ["worker"]


def test_a_path_fills_a_field_of_the_body() -> None:
    assert read(UPSERT, b'{"name":"n"}', customer__external_id="a/b").customer.external_id == "a/b"
    assert read(UPSERT, b'{"external_id":"a"}', customer__external_id="a").customer.external_id == "a"
    single = "POST /v1/erp/orders/{update.order_id}:updateStatus"
    assert read(single, b'{"sequence":"7"}', update__order_id="ord_1").update.order_id == "ord_1"


def test_a_path_never_wins_silently() -> None:
    assert wrong(UPSERT, b'{"external_id":"b","name":1}', customer__external_id="a") == ["name", "external_id"]


@pytest.mark.parametrize("colon", ['":', '" :', '"\t:', '"\n :'])
@pytest.mark.parametrize("inside", ["", r"a \": b", "a : b", r"\\\":"])
def test_a_name_that_stands_twice_never_wins_silently(colon: str, inside: str) -> None:
    """However the body is written, and whatever its texts hold."""
    once = f'{{"name{colon} "{inside}", "note": "{inside}", "billing_address": {{"city{colon}"x", "phone":"1"}}}}'
    assert read(UPSERT, once.encode(), customer__external_id="a").customer.billing_address.city == "x"
    for part, twice in (("note", "name"), ("phone", "city")):
        assert wrong(UPSERT, once.replace(part, twice).encode(), customer__external_id="a") == [twice]
    attributes = f'{{"attributes": {{"a{colon}"{inside}", "a": "{inside}"}}}}'
    assert wrong(UPSERT, attributes.encode(), customer__external_id="a") == ["a"]


def test_a_patch_is_masked_by_the_fields_of_its_body() -> None:
    request = read(PATCH, b'{"email":"","note":null,"billingAddress":{"city":"x"}}', id="1")
    assert list(request.update_mask.paths) == ["email", "note", "billing_address"]
    assert not list(read(PATCH, b"{}", id="1").update_mask.paths)


def test_a_given_mask_stays() -> None:
    request = read(PATCH, b'{"email":"x"}', query="updateMask=note,billingAddress", id="1")
    assert list(request.update_mask.paths) == ["note", "billing_address"]


@pytest.mark.parametrize(("header", "etag"), [('"a"', "a"), ('W/"a"', "a"), ("a", "a"), ("*", ""), ('""', "")])
def test_if_match_fills_the_etag(header: str, etag: str) -> None:
    assert read(PATCH, b"{}", if_match=header, id="1").etag == etag


@pytest.mark.parametrize("header", ['"a", "b"', "a,b", "", '"'])
def test_if_match_must_be_one_tag(header: str) -> None:
    assert wrong(PATCH, b"{}", if_match=header, id="1") == ["If-Match"]


def test_if_match_never_wins_silently() -> None:
    assert read(PATCH, b"{}", query="etag=a", if_match='"a"', id="1").etag == "a"
    assert wrong(PATCH, b"{}", query="etag=b", if_match='"a"', id="1") == ["etag"]


def test_a_condition_that_cannot_be_kept_is_refused() -> None:
    assert wrong(UPSERT, b"{}", if_match='"a"', customer__external_id="a") == ["If-Match"]
    assert read(GET, if_match='"a"', id="1").id == "1"

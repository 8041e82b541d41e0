from __future__ import annotations

from typing import Any

import pytest

from tandem_gateway.errors import NotAcceptable, status_of
from tandem_gateway.transcoding.negotiation import takes_gzip
from tandem_gateway.transcoding.request import Incoming, RequestReader
from tandem_gateway.transcoding.template import Template
from tandem_proto.catalogue import methods
from tandem_proto.errors import InvalidArgument

CSV, NDJSON = 1, 2
EXPORT = "/v1/exports/orders"


def read(path: str, query: str = "", accept: str | None = None, **variables: str) -> Any:
    method, rule = next((method, rule) for method in methods() for rule in method.http if rule.get == path)
    return RequestReader(method, rule, "GET", Template(path)).read(Incoming(variables, query, b"", None, accept))


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        (None, 0),
        ("", 0),
        ("*/*", 0),
        ("text/csv", CSV),
        ("Text/CSV; charset=utf-8", CSV),
        ("text/*", CSV),
        ("application/x-ndjson", NDJSON),
        ("text/html, application/*;q=0.9, */*;q=0.8", NDJSON),
        ("text/csv;q=0.5, application/x-ndjson", NDJSON),
        ("text/csv;q=0, */*", NDJSON),
        ("application/json, */*;q=0.1", 0),
    ],
)
def test_accept_tells_the_format(accept: str | None, format_: int) -> None:
    assert read(EXPORT, accept=accept).format == format_


@pytest.mark.parametrize("accept", ["application/json", "text/csv;q=0", "nonsense"])
def test_what_nobody_can_write_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="text/csv or application/x-ndjson") as refused:
        read(EXPORT, accept=accept)
    assert status_of(refused.value) == 406


def test_the_path_and_the_query_count_more_than_accept() -> None:
    assert read(f"{EXPORT}.csv", accept="application/x-ndjson").format == CSV
    assert read(EXPORT, query="format=NDJSON", accept="text/csv").format == NDJSON
    with pytest.raises(InvalidArgument) as refused:
        read(f"{EXPORT}.csv", query="format=NDJSON")
    assert [wrong.field for wrong in refused.value.fields] == ["format"]


def test_what_has_no_formats_takes_any_accept() -> None:
    assert read("/v1/orders/{id}", accept="text/html", id="1").id == "1"


@pytest.mark.parametrize(
    ("header", "taken"),
    [("", False), ("gzip", True), ("deflate, GZIP;q=0.5, br", True), ("gzip;q=0", False), ("*", False), ("br", False)],
)
def test_gzip_is_asked_for_by_name(header: str, *, taken: bool) -> None:
    assert takes_gzip(header) is taken

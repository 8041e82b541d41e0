"""Files to import: CSV as people write it, NDJSON, and what comes back."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import aiohttp
import pytest
from conftest import Party

from integration.uploads import (
    NDJSON,
    counts,
    customer,
    failed_csv,
    get,
    post,
    problems,
    rows_of,
)
from tandem.crm.v1.customer_pb2 import Customer

pytestmark = pytest.mark.usefixtures("deadline")

UNTIDY = """external_id;E-Mail;name;type;inactive;billing_city;billing_country;attributes.segment;note;Fax\r
C1;ada@example.com;Ada;PERSON;no;London;GB;vip;"two
lines";1\r
C2;;Grace;COMPANY;TRUE;;;;;\r
\r
;ADA@example.com;Ada again;;;;;;;\r
;who@example.com;Nobody;;;;;;;\r
C3; a@b;;PLANET;maybe;Paris;France;;;\r
C1;other@example.com;Ada twice;;;;;;;\r
C5;short\r
C6;x@example.com;"Quote" in front;;;;;;;\r
C7;x@example.com;Quote "in" it;;;;;;;7"""


async def test_an_untidy_csv_comes_in_and_what_is_wrong_comes_back(http: aiohttp.ClientSession) -> None:
    mapped = "columns=email:E-Mail&columns=:Fax"
    status, done = await post(http, b"\xef\xbb\xbf" + UNTIDY.encode(), f"import_id=a.1&{mapped}")
    assert (status, done["id"], done["state"], done["rows"]) == (200, "a.1", "PARTIAL", 9)
    assert counts(done) == {"created": 3, "failed": 6}
    ada = await customer(http, "C1")
    assert (ada["email"], ada["type"], ada["note"]) == ("ada@example.com", "PERSON", "two\nlines")
    assert (ada["billing_address"]["city"], ada["attributes"], ada["inactive"]) == ("London", {"segment": "vip"}, False)
    grace = await customer(http, "C2")
    assert ("billing_address" in grace, grace["inactive"]) == (False, True)
    rows = await rows_of(http, "a.1")
    assert [row["outcome"][0] for row in rows] == list("CCFFFFFFC")
    assert problems(rows[2:8]) == {
        3: ("DUPLICATE_IN_FILE", ["external_id"]),
        4: ("INVALID_FIELDS", ["external_id"]),
        5: ("INVALID_FIELDS", ["type", "inactive", "name", "email", "billing_address.country"]),
        6: ("DUPLICATE_IN_FILE", ["external_id"]),
        7: ("NOT_READABLE", [""]),
        8: ("NOT_READABLE", [""]),
    }
    assert await rows_of(http, "a.1", "outcome=FAILED") == rows[2:8]
    assert await get(http, "/v1/imports/a.1") == done


async def test_failed_rows_are_mended_and_sent_again(http: aiohttp.ClientSession) -> None:
    mapped = "columns=email:E-Mail&columns=:Fax"
    await post(http, UNTIDY.encode(), f"import_id=a&{mapped}")
    header, *rows = csv.reader(io.StringIO((await failed_csv(http, "a")).decode()), delimiter=";")
    assert header == [*UNTIDY.split("\r", maxsplit=1)[0].split(";"), "error_field", "error"]
    assert rows[2][:7] == ["C3", " a@b", "", "PLANET", "maybe", "Paris", "France"]
    assert rows[2][10].split(", ")[:2] == ["type", "inactive"]
    assert rows[5][0] == 'C6;x@example.com;"Quote" in front;;;;;;;'
    mended = io.StringIO()
    rows[2][1:7] = ["a@b.example", "Three", "", "", "Paris", "FR"]
    csv.writer(mended).writerows([header, rows[2]])
    status, done = await post(http, mended.getvalue().encode(), f"import_id=b&{mapped}")
    assert (status, done["state"], counts(done)) == (200, "SUCCEEDED", {"created": 1})
    assert (
        await failed_csv(http, "b")
        == b";".join([UNTIDY.split("\r", maxsplit=1)[0].encode(), b"error_field", b"error"]).replace(b";", b",")
        + b"\r\n"
    )


@pytest.mark.parametrize(
    ("header", "query", "wrong"),
    [
        ("external_id,email", "", {"name": "is missing"}),
        ("name,phone", "", {"external_id": "is missing"}),
        ("external_id,name", "columns=email:E-Mail&columns=phone:Tel", {"email": "E-Mail", "phone": "Tel"}),
        ("external_id,name,Fax,vat", "", {"Fax": "columns=:Fax", "vat": "is not a field"}),
        ("external_id,name,name", "", {"name": "is there twice"}),
        ("external_id,name,Name", "columns=name:Name", {"name": "is there twice"}),
        ("external_id,name,billing_address,externalId", "", {"billing_address": "", "externalId": ""}),
    ],
)
async def test_a_header_that_does_not_fit_is_refused_at_once(
    http: aiohttp.ClientSession, header: str, query: str, wrong: dict[str, str]
) -> None:
    """The reply comes while the file is still on its way, which here never ends."""

    async def body() -> Any:
        yield f"{header}\n".encode()
        while True:
            yield b"1,2,3\n" * 10_000

    status, problem = await post(http, body(), f"import_id=h&{query}")
    assert (status, problem["reason"]) == (400, "INVALID_HEADER")
    told = {error["field"]: error["description"] for error in problem["errors"]}
    assert told.keys() == wrong.keys()
    assert all(wrong[field] in description for field, description in told.items())
    refused = await get(http, "/v1/imports/h")
    assert (refused["state"], refused["rows"], "does not fit" in refused["error"]) == ("FAILED", 0, True)
    status, done = await post(http, b"external_id,name\n1,One\n", "import_id=h")
    assert (status, done["state"], done["error"]) == (200, "SUCCEEDED", "")


async def test_ndjson_lines_are_rows(http: aiohttp.ClientSession) -> None:
    lines = [
        '{"external_id":"1","name":"Ada","billingAddress":{"city":"Rome"},"attributes":{"a":"b"}}',
        '{"external_id":"2","name":"Bob","nickname":"B","currency":"ZZZ","type":7}',
        "not json",
        "[1]",
        '{"external_id":"3","name":"Cid","type":"PERSON","inactive":true}',
    ]
    status, done = await post(http, "\n".join(lines).encode(), "import_id=n", **NDJSON)
    assert (status, counts(done)) == (200, {"created": 2, "failed": 3})
    rows = await rows_of(http, "n", "outcome=FAILED&outcome=AMBIGUOUS")
    assert problems(rows) == {
        2: ("INVALID_FIELDS", ["nickname", "type"]),
        3: ("NOT_READABLE", [""]),
        4: ("NOT_READABLE", [""]),
    }
    assert [row["original"] for row in rows] == [[lines[1]], [lines[2]], [lines[3]]]
    header, *cells = csv.reader(io.StringIO((await failed_csv(http, "n")).decode()))
    assert (header, cells[0][0]) == (["json", "error_field", "error"], lines[1])


async def test_typed_rows_are_whole_customers(party: Party) -> None:
    async with party.crm() as crm:
        await crm.customers.create(Customer(external_id="1", name="Ada", note="old", phone="1"))
        rows = [Customer(external_id="1", name="Ada", phone="1"), Customer(external_id="2"), Customer(id="x", name="B")]
        rows.append(Customer(external_id="3", name="Cid", etag="v7", attributes={"b": "2", "a": "1"}))
        done = await crm.customers.import_(rows)
        assert (done.updated, done.created, done.failed) == (1, 1, 2)
        assert (await crm.customers.get(external_id="1")).note == ""
        assert (await crm.customers.get(external_id="3")).etag == "v1"
        text = b"".join([piece async for piece in crm.imports.failed_rows(done.id)])
        header, second, third = csv.reader(io.StringIO(text.decode()))
        assert json.loads(second[0])["external_id"] == "2"
        assert (header[1:], second[1], third[1]) == (["error_field", "error"], "name", "external_id")

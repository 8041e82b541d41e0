"""Imports over REST: what rows mean, and what becomes of each."""

from __future__ import annotations

import asyncio
import gzip
import json

import aiohttp
import pytest
from conftest import Party, new_party

from integration.uploads import (
    CSV,
    IMPORT,
    NDJSON,
    counts,
    customer,
    customers_csv,
    failed_csv,
    get,
    post,
    problems,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("deadline")


async def test_a_row_changes_what_it_names(http: aiohttp.ClientSession) -> None:
    address = {"city": "London", "country": "GB"}
    await http.post("/v1/customers", json={"external_id": "1", "name": "A", "note": "n", "billing_address": address})
    before = await customer(http, "1")
    status, done = await post(http, b"external_id,name,phone\n1,A,\n", "import_id=a")
    assert (status, counts(done)) == (200, {"unchanged": 1})
    assert await customer(http, "1") == before
    _, done = await post(http, b"external_id,name,phone,id,etag\n1,B,5,whatever,v9\n")
    assert counts(done) == {"updated": 1}
    after = await customer(http, "1")
    assert after == before | {"name": "B", "phone": "5", "etag": "v2", "updated_at": after["updated_at"]}
    line = {"external_id": "1", "name": "B", "billing_city": "Rome", "note": None, "id": "cus_x"}
    _, done = await post(http, json.dumps(line).encode(), **{"content-type": NDJSON["content-type"]})
    assert counts(done) == {"updated": 1}, await rows_of(http, done["id"])
    last = await customer(http, "1")
    assert (last["note"], last["billing_address"]["city"], last["billing_address"]["country"]) == ("", "Rome", "")


async def test_a_create_of_what_was_imported_is_no_repetition_of_an_import(http: aiohttp.ClientSession) -> None:
    await post(http, b"external_id,name\n1,A\n")
    imported = await customer(http, "1")
    async with http.post("/v1/customers", json={"external_id": "1", "name": "A"}) as reply:
        assert (reply.status, await reply.json()) == (201, imported)
    await post(http, b"external_id,name\n1,B\n")
    async with http.post("/v1/customers", json={"external_id": "1", "name": "A"}) as reply:
        refused = await reply.json()
        assert (reply.status, [wrong["field"] for wrong in refused["errors"]]) == (409, ["name"])


async def test_without_an_external_id_the_address_says_who_is_meant(http: aiohttp.ClientSession) -> None:
    file = "external_id,name,email\n1,One,One@example.com\n2,Two,two@example.com\n3,Three,two@example.com\n"
    await post(http, file.encode())
    rows = "name,email\nUno,ONE@EXAMPLE.COM\nDue,two@example.com\nTre,three@example.com\nOne,one@example.com\n"
    _, done = await post(http, rows.encode(), "import_id=e")
    assert counts(done) == {"updated": 1, "ambiguous": 1, "failed": 2}
    assert (await customer(http, "1"))["name"] == "Uno"
    found = await rows_of(http, "e")
    assert [row["outcome"] for row in found] == ["UPDATED", "AMBIGUOUS", "FAILED", "FAILED"]
    assert problems(found[1:]) == {
        2: ("AMBIGUOUS_EMAIL", ["email"]),
        3: ("INVALID_FIELDS", ["external_id"]),
        4: ("DUPLICATE_IN_FILE", ["external_id"]),
    }
    assert b"Due,two@example.com" in await failed_csv(http, "e")


async def test_a_customer_that_comes_again_hundreds_of_rows_later_is_told(http: aiohttp.ClientSession) -> None:
    await post(http, customers_csv(600))
    for change in ("Customer", "Changed"):
        twice = customers_csv(600, name=change) + customers_csv(3, name="Other").partition(b"\n")[2]
        _, done = await post(http, twice, f"import_id={change}")
        repeated = [
            row for row in await rows_of(http, change, "outcome=FAILED") if row["reason"] == "DUPLICATE_IN_FILE"
        ]
        assert [(row["row"], row["errors"][0]["description"][:5]) for row in repeated] == [
            (601, "row 1"),
            (602, "row 2"),
            (603, "row 3"),
        ]
        assert counts(done)["failed"] == 600 // 7 + 3
    assert (await customer(http, "C1"))["name"] == "Changed, 1"


async def test_new_customers_that_come_again_in_the_next_chunk_are_told(http: aiohttp.ClientSession) -> None:
    twice = customers_csv(600) + customers_csv(3, name="Other").partition(b"\n")[2]
    _, done = await post(http, twice, "import_id=new")
    faults = await rows_of(http, "new", "outcome=FAILED")
    assert [row["row"] for row in faults if row["reason"] == "DUPLICATE_IN_FILE"] == [601, 602, 603]
    assert counts(done) == {"created": 600 - 600 // 7, "failed": 600 // 7 + 3}


async def test_customers_that_the_crm_makes_meanwhile_are_made_once(http: aiohttp.ClientSession) -> None:
    async def make(number: int) -> int:
        async with http.post("/v1/customers", json={"external_id": f"N{number}", "name": "Same"}) as reply:
            return reply.status

    file = b"external_id,name\n" + b"".join(b"N%d,Same\n" % n for n in range(3000))
    (status, done), *made = await asyncio.gather(post(http, file), *map(make, range(2999, 0, -60)))
    assert (status, done["state"], sum(counts(done).values())) == (200, "SUCCEEDED", 3000)
    assert set(made) == {201}


async def test_a_dry_run_tells_and_touches_nothing(http: aiohttp.ClientSession) -> None:
    await post(http, b"external_id,name\nC1,Ada\nC2,Bob\n")
    before = [await customer(http, "C1"), await customer(http, "C2")]
    file = b"external_id,name\nC1,Ada\nC2,Bert\nC3,Cid\nC3,Cid\nC4,\n"
    _, tried = await post(http, file, "import_id=try&dry_run=true")
    assert (tried["dry_run"], counts(tried)) == (True, {"created": 1, "updated": 1, "unchanged": 1, "failed": 2})
    assert [await customer(http, "C1"), await customer(http, "C2")] == before
    assert len(await rows_of(http, "try")) == 5
    async with http.get("/v1/customers/external/C3") as reply:
        assert reply.status == 404
    _, done = await post(http, file, "import_id=do")
    assert counts(done) == counts(tried)


async def test_all_or_nothing_with_a_bad_last_row_writes_nothing(http: aiohttp.ClientSession) -> None:
    good = b"".join(b"A%d,Name\n" % n for n in range(1200))
    head, whole = b"external_id,name\n", "mode=ALL_OR_NOTHING"
    status, done = await post(http, head + good + b"A1,Twice\n", f"import_id=bad&{whole}")
    assert (status, done["state"], counts(done)) == (200, "ABORTED", {"failed": 1, "not_reached": 1200})
    assert (await get(http, "/v1/customers"))["customers"] == []
    rows = await rows_of(http, "bad")
    assert [row["outcome"] for row in rows] == ["NOT_REACHED"] * 1200 + ["FAILED"]
    assert rows[-1]["original"] == ["A1", "Twice"]
    assert await post(http, head + good + b"A1,Twice\n", f"import_id=bad&{whole}") == (200, done)
    status, problem = await post(http, head + good, f"import_id=bad&{whole}")
    assert (status, problem["reason"]) == (409, "IMPORT_CONTENT_CHANGED")
    status, done = await post(http, head + good, f"import_id=good&{whole}")
    assert (status, done["state"], counts(done)) == (200, "SUCCEEDED", {"created": 1200})


async def test_all_or_nothing_is_for_ten_thousand_rows(http: aiohttp.ClientSession) -> None:
    file = b"external_id,name\n" + b"".join(b"A%d,Name\n" % n for n in range(10_001))
    status, problem = await post(http, file, "import_id=big&mode=ALL_OR_NOTHING")
    assert (status, problem["reason"], problem["errors"][0]["field"]) == (400, "IMPORT_TOO_LARGE", "mode")
    assert (await get(http, "/v1/imports/big"))["state"] == "FAILED"
    assert (await get(http, "/v1/customers"))["customers"] == []


async def test_a_file_that_ends_being_csv_goes_in_up_to_there_and_on_when_it_is_mended(
    http: aiohttp.ClientSession,
) -> None:
    good, more = customers_csv(600), b"".join(b"D%d,Name,,GB\n" % n for n in range(10))
    status, problem = await post(http, good + b'C,"open\n' + more, "import_id=m")
    assert (status, problem["reason"]) == (400, "UNREADABLE_FILE")
    assert "line 602" in problem["detail"]
    half = await get(http, "/v1/imports/m")
    assert (half["state"], half["created"] + half["failed"], half["not_reached"]) == ("RUNNING", 500, 100)
    assert [row["row"] for row in await rows_of(http, "m", "outcome=NOT_REACHED")] == list(range(501, 601))
    status, done = await post(http, good + more, "import_id=m")
    assert (status, done["rows"], done["not_reached"]) == (200, 610, 0)


async def test_what_ended_is_told_again_and_keeps_its_id(http: aiohttp.ClientSession) -> None:
    file = customers_csv(700)
    first = await post(http, file, "import_id=once")
    assert await post(http, file, "import_id=once") == first
    assert await post(http, gzip.compress(file), "import_id=once", content_encoding="gzip") == first
    shorter = file[: file.rindex(b"\r\n", 0, -2) + 2]
    for other in (shorter, file + b"C,more,,\r\n", b"\n".join(reversed(file.split(b"\n")))):
        status, problem = await post(http, other, "import_id=once")
        assert (status, problem["reason"]) in {(409, "IMPORT_CONTENT_CHANGED"), (400, "INVALID_HEADER")}
    status, problem = await post(http, file, "import_id=once&dry_run=true")
    assert (status, problem["reason"]) == (409, "IMPORT_CONTENT_CHANGED")


async def test_an_import_is_its_partys(http: aiohttp.ClientSession, party: Party) -> None:
    await post(http, b"external_id,name\n1,Mine\n", "import_id=same")
    other = new_party(party.stack)
    async with aiohttp.ClientSession(
        party.stack.http, headers={"authorization": f"Bearer {other.integration_key}"}
    ) as theirs:
        for path in ("", "/rows", "/failed.csv"):
            async with theirs.get(f"/v1/imports/same{path}") as reply:
                assert reply.status == 404
        _, done = await post(theirs, b"external_id,name\n1,Theirs\n2,More\n", "import_id=same")
        assert counts(done) == {"created": 2}
    assert (await customer(http, "1"))["name"] == "Mine"
    async with (
        aiohttp.ClientSession(party.stack.http, headers={"authorization": f"Bearer {party.erp_key}"}) as erp,
        erp.post(IMPORT, data=b"external_id,name\n", headers=CSV) as reply,
    ):
        assert reply.status == 403

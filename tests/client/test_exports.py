"""The client's exports: a file is whole and checked, or the one before is still there."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import pytest
from conftest import Party
from retail import hand_over

from tandem.integration.v1.export_pb2 import Export
from tandem.integration.v1.export_requests_pb2 import ExportOrdersRequest, ExportOrdersResponse
from tandem_client import DataLoss, ExportFormat, PermissionDenied, Tandem
from tandem_client.exports import Download

pytestmark = pytest.mark.usefixtures("deadline")

PARTS = [ExportOrdersResponse(data=b"id\r\n"), ExportOrdersResponse(data=b"1\r\n")]
LAST = ExportOrdersResponse(export=Export(complete=True, sha256=hashlib.sha256(b"id\r\n1\r\n").hexdigest()))


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_a_file_is_made_and_what_changed_since(party: Party, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("old")
    async with party.crm() as crm, Tandem(party.stack.grpc, key=party.integration_key) as reports:
        orders = await hand_over(crm, 3)
        export = await reports.exports.orders(path)
        assert (export.rows, export.sha256) == (3, hashlib.sha256(path.read_bytes()).hexdigest())
        assert await reports.exports.get(export.id) == export
        with path.open(newline="") as file:
            assert [row["id"] for row in csv.DictReader(file)] == [order.id for order in orders]
        lines = await reports.exports.order_lines(tmp_path / "lines.csv", updated_after=export.watermark)
        form = ExportFormat.EXPORT_FORMAT_NDJSON
        customers = await reports.exports.customers(tmp_path / "customers.ndjson", format=form, email="no@example.com")
        assert (lines.rows, customers.rows, (tmp_path / "customers.ndjson").read_bytes()) == (3, 0, b"")
        with pytest.raises(PermissionDenied):
            await crm.exports.orders(path)
    assert names_in(tmp_path) == ["customers.ndjson", "lines.csv", "orders.csv"]


class Arriving:
    """A caller to whom these parts arrive, and no more."""

    def __init__(self, *parts: ExportOrdersResponse) -> None:
        self._parts = parts

    def stream(self, _method: Any, _request: Any) -> Arriving:
        return self

    async def __aenter__(self) -> Any:
        async def arrive() -> Any:
            for part in self._parts:
                yield part

        return arrive()

    async def __aexit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("parts", "reason"), [(PARTS, "EXPORT_CUT"), ([], "EXPORT_CUT"), ([PARTS[0], LAST], "EXPORT_DAMAGED")]
)
async def test_a_file_that_arrives_cut_or_damaged_is_none(
    tmp_path: Path, parts: list[ExportOrdersResponse], reason: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("old")
    arriving: Any = Arriving(*parts)
    with pytest.raises(DataLoss) as loss:
        await Download(arriving, arriving, ExportOrdersRequest)(path)
    assert (loss.value.reason, path.read_text()) == (reason, "old")
    assert names_in(tmp_path) == ["orders.csv"]
    whole: Any = Arriving(*PARTS, LAST)
    await Download(whole, whole, ExportOrdersRequest)(path)
    assert path.read_bytes() == b"id\r\n1\r\n"

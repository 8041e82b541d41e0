"""Plays a CRM and an ERP against a running Tandem, and proves by counts and sums that they agree.

The CRM hands over every invoice of FILE (a table of the columns InvoiceNo, StockCode, Description, Quantity,
InvoiceDate, UnitPrice, CustomerID and Country, plain or compressed by gzip; without FILE a small made-up one), the good
and the bad. Meanwhile the ERP takes over what Tandem accepted, and ships it; at the end all of it is exported as CSV.
Run it again: nothing is created or delivered twice. The exit status is 1 if the two sides, the files or the table
disagree.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from retailer.books import Stored, stored
from retailer.crm import Crm
from retailer.display import show
from retailer.erp import Erp
from retailer.exported import exported
from retailer.invoices import Invoice, grouped, read
from retailer.progress import bars
from retailer.report import Report, report
from retailer.sample import rows
from retailer.settings import Settings
from tandem_client import OrderStatus, Tandem, TandemError

ACKNOWLEDGED = OrderStatus.ORDER_STATUS_ACKNOWLEDGED


async def play(settings: Settings, invoices: Sequence[Invoice]) -> Report:
    """Hand *invoices* over, take them over, ship them, export them, and compare."""
    numbers = {invoice.number for invoice in invoices}
    with bars() as progress:
        async with (
            Tandem(settings.target, settings.crm_key, ca=settings.ca) as here,
            Tandem(settings.target, settings.erp_key, ca=settings.ca) as there,
            Tandem(settings.target, settings.reports_key, ca=settings.ca) as reports,
        ):
            before = await stored(here, numbers)
            crm, erp = Crm(here, invoices, progress), Erp(there, progress)
            await exchange(crm, erp, before)
            after, files = await stored(here, numbers), await exported(reports, numbers)
            return report(invoices, crm, erp, before, after, files)


async def exchange(crm: Crm, erp: Erp, before: dict[str, Stored]) -> None:
    """Let the CRM hand over while the ERP works, until there is nothing left to do."""
    taken = {number for number, found in before.items() if found.order.erp_document}
    erp.ship_later(found.order for found in before.values() if found.order.status == ACKNOWLEDGED)
    async with asyncio.TaskGroup() as group:
        working, shipping = group.create_task(erp.work()), group.create_task(erp.ship())
        await crm.hand_over()
        await erp.caught_up(crm.accepted - taken)
        working.cancel()
        await asyncio.wait([working])
        await erp.work(until_empty=True)
        shipping.cancel()


def main() -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="the table of orders")
    file = parser.parse_args().file
    settings = Settings.read()
    invoices = grouped(read(file) if file else rows())
    result, failure = None, ""
    try:
        result = asyncio.run(play(settings, invoices))
    except* TandemError as failures:
        failure = f"Tandem at {settings.target}: {_first(failures)}"
    if result is None:
        raise SystemExit(failure)
    show(result)
    return 0 if result.agreed else 1


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; run it again to go on where it was")

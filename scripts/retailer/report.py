"""Whether the three sides agree, and what there is to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retailer.books import Entry, Stored, Totals
from retailer.crm import Crm, Refusal
from retailer.erp import Erp, document_of
from retailer.exported import Exported, by_country
from retailer.invoices import Invoice
from tandem_client import OrderStatus

EXAMPLES = 3


@dataclass(frozen=True)
class Refused:
    """Refusals that are alike: how many, and examples by number."""

    kind: str
    why: str
    orders: int
    examples: dict[str, str]


@dataclass(frozen=True)
class Report:
    """The result of the demo."""

    totals: dict[str, Totals]
    checks: dict[str, bool]
    this_run: dict[str, int]
    rates: dict[str, float]
    refused: list[Refused]

    @property
    def agreed(self) -> bool:
        """Whether every check holds."""
        return all(self.checks.values())

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        totals = {side: {**t._asdict(), "amount": str(t.amount)} for side, t in self.totals.items()}
        return {"agreed": self.agreed, **asdict(self), "totals": totals}


def report(
    invoices: Sequence[Invoice],
    crm: Crm,
    erp: Erp,
    before: Mapping[str, Stored],
    after: Mapping[str, Stored],
    files: Exported,
) -> Report:
    """Compare the table, what the CRM sees, what the ERP received and what the exported files say."""
    valid = {i.number: Entry.counted(i.customer, i.lines) for i in invoices if i.valid}
    in_crm = {number: stored.entry for number, stored in after.items()}
    earlier = {number: stored.entry for number, stored in before.items() if stored.order.erp_document}
    in_erp = earlier | {number: entry for number, entry in erp.books.items() if number in valid}
    others = {invoice.number for invoice in invoices} - valid.keys()
    orders = [stored.order for stored in after.values()]
    sides = {"table": valid, "CRM": in_crm, "ERP": in_erp, "files": files.books}
    checks = {
        "table, CRM, ERP and exported files hold the same orders": valid == in_crm == in_erp == files.books,
        "and the files come to the same in every country": files.countries == by_country(invoices, valid),
        "what is not a sale was refused, and nothing else": {r.number for r in crm.refused} == others,
        "every order came to the ERP once": erp.deliveries == len(erp.books) and not earlier.keys() & erp.books.keys(),
        "every order has its document": all(order.erp_document == document_of(order) for order in orders),
        "every order is shipped": all(order.status >= OrderStatus.ORDER_STATUS_SHIPPED for order in orders),
    }
    return Report(
        totals={side: Totals.of(books) for side, books in sides.items()},
        checks=checks,
        this_run={
            "created": len(after) - len(before),
            "replayed": len(crm.accepted & before.keys()),
            "refused": len(crm.refused),
            "delivered": erp.deliveries,
            "shipped": erp.shipped.done,
        },
        rates=_rates(crm, erp),
        refused=alike(crm.refused),
    )


def _rates(crm: Crm, erp: Erp) -> dict[str, float]:
    return {
        "customers stored": crm.customers.rate,
        "orders handed over": crm.orders.rate,
        "orders taken over": erp.taken.rate,
        "orders shipped": erp.shipped.rate,
    }


def alike(refusals: Sequence[Refusal]) -> list[Refused]:
    """Return *refusals* put together by kind and reason, the most frequent first."""
    groups: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.kind, refusal.why), []).append(refusal)
    return [
        Refused(kind, why, len(group), {refusal.number: refusal.says for refusal in group[:EXAMPLES]})
        for (kind, why), group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]

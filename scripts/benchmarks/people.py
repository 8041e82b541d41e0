"""Customers to import, as a file and as messages: each another one, with what companies tell of each other."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tandem.crm.v1.customer_pb2 import CUSTOMER_TYPE_COMPANY
from tandem_client import Address, Customer

CUSTOMER = ("external_id", "name", "email", "phone", "currency", "payment_terms", "note")
ADDRESS = ("line1", "city", "postal_code", "country")
CITIES = (("London", "GB"), ("Zürich", "CH"), ("København", "DK"), ("Lyon", "FR"), ("Köln", "DE"), ("Kraków", "PL"))


def write_csv(path: Path, count: int) -> None:
    """Write *count* customers as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*CUSTOMER, "type", *(f"billing_{part}" for part in ADDRESS)))
        writer.writerows((*_customer(number), "COMPANY", *_address(number)) for number in range(count))


def messages(count: int) -> Iterator[Customer]:
    """Yield the same *count* customers as messages."""
    for number in range(count):
        address = Address(**dict(zip(ADDRESS, _address(number), strict=True)))
        told: dict[str, Any] = dict(zip(CUSTOMER, _customer(number), strict=True))
        yield Customer(**told, type=CUSTOMER_TYPE_COMPANY, billing_address=address)


def _customer(number: int) -> tuple[str, ...]:
    name, email = f"Customer {number} & Søns, Ltd", f"orders@customer-{number}.example.com"
    return f"{number:07}", name, email, f"+44 20 {number:08}", "GBP", "30 days net", "wants one invoice a month"


def _address(number: int) -> tuple[str, ...]:
    city, country = CITIES[number % len(CITIES)]
    return f"{number % 200 + 1} High Street", city, f"{10_000 + number % 90_000}", country

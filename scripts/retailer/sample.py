"""A small table for those who have none: made up, always the same, and as untidy as a real one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from retailer.invoices import COLUMNS

ARTICLES = ("WHITE LANTERN ", "RED CLOCK", " BLUE MUG", "", "GARDEN BENCH", "PAPER CHAIN KIT ", "CAKE TIN", "DOORMAT")
COUNTRIES = ("United Kingdom", "United Kingdom", "Germany", "EIRE", "USA", "Unspecified", "Channel Islands")
FIRST_DAY = datetime(2011, 3, 26, 8, 0)  # noqa: DTZ001  -- as in the table, a time of London without a zone
INVOICES = 400


def rows() -> Iterator[dict[str, str]]:
    """Yield the rows: one invoice in eight has no customer, one in eight is a credit note, a few are adjustments."""
    dice = random.Random("Tandem")
    for position in range(INVOICES):
        number = 900_001 + position
        customer, sign, letter = f"{dice.randint(90_000, 90_060)}.0", 1, ""
        match position % 16:
            case 3 | 9:
                customer, sign = "", dice.choice((1, 1, -1))
            case 5 | 12:
                sign, letter = -1, "C"
            case 15 if position % 5 == 0:
                customer, letter = "", "A"
        when = FIRST_DAY + timedelta(minutes=7 * position)
        head = (f"{letter}{number}", when, customer, dice.choice(COUNTRIES))
        yield from (_row(dice, sign, *head) for _ in range(dice.randint(1, 12)))


def _row(dice: random.Random, sign: int, number: str, when: datetime, customer: str, country: str) -> dict[str, str]:
    article = dice.randrange(len(ARTICLES))
    price = dice.choice(("2.55", "0.0", "3.39", "0.001", "12.5", "7.125"))
    cells = (number, f"S{article:03} ", ARTICLES[article], str(sign * dice.randint(1, 48)), str(when), price)
    return dict(zip(COLUMNS, (*cells, customer, country), strict=True))

"""Where Tandem is, and the keys of the two systems that the demo plays, and of whoever compares them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What `scripts/run` writes into `dev.env`; the environment comes first."""

    target: str
    crm_key: str
    erp_key: str
    reports_key: str
    ca: str | None

    @classmethod
    def read(cls) -> Self:
        """Return the settings; raises SystemExit, saying what to do, where there are none."""
        here = Path(os.environ.get("TANDEM_HOME", ".tandem"))
        file = (here if here.exists() else CHECKOUT / here) / "dev.env"
        lines = file.read_text().splitlines() if file.exists() else []
        found = dict(line.split("=", 1) for line in lines if "=" in line) | dict(os.environ)
        try:
            keys = found["TANDEM_CRM_KEY"], found["TANDEM_ERP_KEY"], found["TANDEM_REPORTS_KEY"]
            return cls(found["TANDEM_GRPC"], *keys, found.get("TANDEM_GRPC_CA"))
        except KeyError as missing:
            told = f"{missing.args[0]} is neither in the environment nor in {file}"
            raise SystemExit(f"{told}: is Tandem running? scripts/run starts it") from None

"""The webhook secrets of the tests' ERPs: two each, known without asking."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from known_keys import PARTIES


def secrets_of(erp: str) -> list[str]:
    """Return the new secret of *erp*, and the one before."""
    return [
        f"whsec_{base64.b64encode(hashlib.sha256(f'{erp} {age}'.encode()).digest()).decode()}" for age in ("new", "old")
    ]


def write_secrets(path: Path) -> Path:
    """Write the secrets of all ERPs that tests have."""
    erps = ["default", *(f"e{n}" for n in range(PARTIES))]
    path.write_text(json.dumps({erp: secrets_of(erp) for erp in erps}))
    return path

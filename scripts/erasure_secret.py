"""The secret that `scripts/run` makes for erasures; without it, what was erased could come back."""

from __future__ import annotations

import secrets
from pathlib import Path


def kept(home: Path) -> str:
    """Return the secret in *home*, in a file for its owner only, made where there is none."""
    path = home / "erasure-secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"{secrets.token_hex(32)}\n")
    return path.read_text().strip()

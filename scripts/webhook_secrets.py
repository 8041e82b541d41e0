"""The secret that `scripts/run` makes for the webhooks of its ERP."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

ERP = "default"


def secrets_file(home: Path) -> Path:
    """Return the file of webhook secrets in *home*, for its owner only, made with one secret where there is none."""
    path = home / "webhook-secrets.json"
    if not path.exists():
        made = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        path.touch(mode=0o600)
        path.write_text(json.dumps({ERP: [made]}) + "\n")
    return path


def first_secret(path: Path) -> str:
    """Return the secret in *path* that the ERP is to sign with; empty where the file knows no such ERP."""
    return str(next(iter(json.loads(path.read_text()).get(ERP, [])), ""))
